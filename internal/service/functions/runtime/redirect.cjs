'use strict';
// Preloaded into a function's Node.js: a connection to *.amazonaws.com goes to
// Tidegate (TIDEGATE_REDIRECT, host:port) instead; so does one to a custom domain
// name (TIDEGATE_DOMAINS), on Tidegate's own port as well. The name stays the one that
// the client asked for, in the certificate it checks (SNI) and in its Host
// header; so does its signature.
//
// Every client in Node ends in net.Socket's connect: http, https, http2, tls
// and fetch. Wrapping it there loads nothing that the handler doesn't load.

const target = process.env.TIDEGATE_REDIRECT;
if (target) {
  const net = require('net');
  const colon = target.lastIndexOf(':');
  const host = target.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(target.slice(colon + 1));
  const amazon = /(^|\.)amazonaws\.com\.?$/i;
  const domains = new Set((process.env.TIDEGATE_DOMAINS || '').split(',').filter(Boolean));
  const ours = (name, to) => {
    if (amazon.test(name)) return to === 443 || to === 80;
    const lower = name.toLowerCase().replace(/\.$/, '');
    if (!domains.has(lower) && !domains.has(lower.replace(/^[^.]+/, '*'))) return false;
    return to === 443 || to === 80 || to === port;
  };
  const connect = net.Socket.prototype.connect;

  const redirected = (options, socket) => {
    if (!options || typeof options !== 'object' || options.path || typeof options.host !== 'string') return null;
    if (!ours(options.host, Number(options.port))) return null;
    // tls.connect without a servername sends none; the certificate needs it.
    if (socket.encrypted && !options.servername && typeof socket.setServername === 'function') {
      socket.setServername(options.host);
    }
    return { ...options, host, port, lookup: undefined };
  };

  net.Socket.prototype.connect = function (...args) {
    const first = args[0];
    if (Array.isArray(first)) {
      // net.connect has normalized its arguments: [options, callback], marked by
      // a symbol, so the array itself is kept.
      const to = redirected(first[0], this);
      if (to) first[0] = to;
    } else if (first && typeof first === 'object') {
      const to = redirected(first, this);
      if (to) args[0] = to;
    } else if (typeof args[1] === 'string') {
      const to = redirected({ port: first, host: args[1] }, this);
      if (to) args.splice(0, 2, to);
    }
    return connect.apply(this, args);
  };
}
