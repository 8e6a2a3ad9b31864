'use strict';
// The runtime of a nodejs* function: it loads the handler, asks the Runtime API
// for one invocation after the other, and answers each. Only `net` is loaded
// here, since everything else would be paid for at each cold start.

const fs = require('fs');
const net = require('net');
const path = require('path');

const env = process.env;
const runtimeVersion = Number((/^AWS_Lambda_nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV || '') || [])[1] || 0);
const streaming = Symbol('tidegate.streaming');

// RuntimeAPI is a keep-alive HTTP/1.1 client for the one server that it ever
// talks to, which answers in order and always gives a Content-Length. While no
// request is under way its socket doesn't hold the event loop, so that
// 'beforeExit' tells when a handler has nothing left to do.
class RuntimeAPI {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.tail = ' HTTP/1.1\r\nHost: ' + address + '\r\n';
    this.waiting = []; // who awaits the answers, in their order
    this.rest = null; // of an answer that has not come as a whole
    this.need = 0; // that answer's length, once it is known
    this.socket = net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
    this.socket.on('data', (chunk) => this.read(chunk));
    this.socket.on('error', () => {});
    // Without its server this process has nobody to work for.
    this.socket.on('close', () => process.exit(1));
    this.socket.unref();
  }

  text(method, target, headers, body) {
    return method + ' /2018-06-01/runtime' + target + this.tail + headers + 'Content-Length: ' + Buffer.byteLength(body) + '\r\n\r\n' + body;
  }

  // send writes requests; the promise is the answer to the last of them.
  send(text, count) {
    if (this.waiting.length === 0) this.socket.ref();
    while (--count > 0) this.waiting.push(null);
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.socket.write(text);
    });
  }

  read(chunk) {
    let data = this.rest ? Buffer.concat([this.rest, chunk]) : chunk;
    while (data !== null) {
      this.rest = data;
      // A big body arrives in many chunks; its length is looked up only once.
      if (this.need && data.length < this.need) return;
      const end = data.indexOf('\r\n\r\n');
      if (end < 0) return;
      const lines = data.utf8Slice(0, end).split('\r\n');
      const resolve = this.waiting[0];
      const headers = {};
      for (let i = 1; i < lines.length; i++) {
        const colon = lines[i].indexOf(':');
        headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
      }
      this.need = end + 4 + Number(headers['content-length'] || 0);
      if (data.length < this.need) return;
      const body = resolve ? data.utf8Slice(end + 4, this.need) : '';
      data = data.length > this.need ? data.subarray(this.need) : null;
      this.rest = null;
      this.need = 0;
      this.waiting.shift();
      if (this.waiting.length === 0) this.socket.unref();
      if (resolve) resolve({ status: Number(lines[0].slice(9, 12)), headers, body });
    }
  }

  next() {
    return this.send(this.text('GET', '/invocation/next', '', ''), 1);
  }

  // respond answers an invocation. With andNext the request for the next one
  // leaves with it, and the promise is that one's answer.
  respond(id, body, andNext) {
    const answer = this.text('POST', '/invocation/' + id + '/response', 'Content-Type: application/json\r\n', body);
    if (!andNext) return this.send(answer, 1);
    return this.send(answer + this.text('GET', '/invocation/next', '', ''), 2);
  }

  fail(target, err) {
    const answer = describe(err);
    const type = String(answer.errorType).replace(/[^\x21-\x7e]/g, '_').slice(0, 200);
    const headers = 'Content-Type: application/vnd.aws.lambda.error.utf8\r\nLambda-Runtime-Function-Error-Type: ' + type + '\r\n';
    return this.send(this.text('POST', target, headers, JSON.stringify(answer)), 1);
  }
}

// RuntimeError is a failure that Lambda names itself. Its stack is that of what
// went wrong in the function's code.
class RuntimeError extends Error {
  constructor(name, reason) {
    super(String(reason));
    this.name = name;
    if (reason && reason.stack) {
      this.stack = name + ': ' + this.message + '\n' + String(reason.stack);
    } else {
      this.stack = name + ': ' + this.message;
    }
  }
}

// describe returns the body that tells the caller of an error.
function describe(err) {
  try {
    if (err instanceof Error || (err && typeof err === 'object' && err.name && err.message && err.stack)) {
      return { errorType: String(err.name), errorMessage: String(err.message), trace: String(err.stack).split('\n') };
    }
    return { errorType: typeof err, errorMessage: String(err), trace: [] };
  } catch (_) {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
      trace: [],
    };
  }
}

function isFile(name) {
  try {
    return fs.statSync(name).isFile();
  } catch (_) {
    return false;
  }
}

// isModule says whether a file is an ES module: by its ending, or by the
// nearest package.json.
function isModule(file) {
  if (file.endsWith('.mjs')) return true;
  if (!file.endsWith('.js')) return false;
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    if (path.basename(dir) === 'node_modules') return false;
    const manifest = path.join(dir, 'package.json');
    if (isFile(manifest)) {
      try {
        return JSON.parse(fs.readFileSync(manifest, 'utf8')).type === 'module';
      } catch (_) {
        return false;
      }
    }
    if (dir === path.dirname(dir)) return false;
  }
}

// isCommonJS says that a file which a package.json above the function's folder
// makes an ES module is CommonJS on Lambda, where nothing lies above the folder.
// A file that only an ES module can be stays one.
function isCommonJS(root, file) {
  const inside = (name) => !path.relative(root, name).startsWith('..');
  for (let dir = path.dirname(file); inside(dir); dir = path.dirname(dir)) {
    if (isFile(path.join(dir, 'package.json'))) return false;
    if (dir === path.dirname(dir)) return false;
  }
  try {
    require('vm').compileFunction(fs.readFileSync(file, 'utf8').replace(/^#!.*/, ''), ['exports', 'require', 'module']);
    return true;
  } catch (_) {
    return false;
  }
}

// shut keeps the package.json above the folder from what is required in it.
function shut(root) {
  const { _extensions } = require('module');
  const load = _extensions['.js'];
  _extensions['.js'] = (module, file) => {
    if (isModule(file) && isCommonJS(root, file)) module._compile(fs.readFileSync(file, 'utf8'), file);
    else load(module, file);
  };
}

// bringSDK lets ES modules find the packages of layers and caches and the SDK that Lambda
// brings; CommonJS finds them by NODE_PATH, at which ES modules and import() don't look.
function bringSDK(esm, file) {
  if (!env.TIDEGATE_PACKAGES) return;
  const { registerHooks, register } = require('module');
  const { pathToFileURL } = require('url');
  const parents = env.TIDEGATE_PACKAGES.split(path.delimiter).map((folder) => pathToFileURL(path.join(folder, 'parent.mjs')).href);
  const bare = /^(?![./#]|[a-z]+:)/;
  if (registerHooks) {
    registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context);
        } catch (err) {
          if (!bare.test(specifier)) throw err;
          for (const parentURL of parents) {
            try {
              return next(specifier, { ...context, parentURL });
            } catch (_) {} // the first error is the one to tell
          }
          throw err;
        }
      },
    });
  } else if (register && (esm || /\bimport\s*\(/.test(fs.readFileSync(file, 'utf8')))) {
    // On older Node.js a hook costs a thread, so only those pay for it that may
    // need it.
    register(pathToFileURL(path.join(__dirname, 'resolve.mjs')).href, { data: { parents } });
  }
}

// load returns the handler that _HANDLER names, such as src/chat.sendMessage:
// the export sendMessage of src/chat.js, .mjs or .cjs.
async function load(root, name) {
  if (name.includes('..')) {
    throw new RuntimeError('Runtime.MalformedHandlerName', `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(name);
  const folder = path.resolve(root, name.slice(0, name.length - base.length).replace(/^\/+/, './'));
  const dot = base.indexOf('.');
  if (dot < 0) throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
  const file = path.join(folder, base.slice(0, dot));
  const exported = await loadModule(root, folder, base.slice(0, dot), file);
  let handler = exported;
  for (const key of base.slice(dot + 1).split('.')) handler = handler === undefined || handler === null ? undefined : handler[key];
  if (!handler) throw new RuntimeError('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('Runtime.HandlerNotFound', `${name} is not a function`);
  return handler;
}

// place puts before the trace of a syntax error of an ES module where it is, in
// the words of node --check: the error itself doesn't say. Of a module that the
// file imports nothing is found.
function place(err, file) {
  if (!file || String(err.stack).includes(file)) return;
  const { stderr } = require('child_process').spawnSync(process.execPath, ['--check', file], { env: {}, encoding: 'utf8', timeout: 5000 });
  const end = String(stderr).indexOf('\n\n');
  if (String(stderr).includes('SyntaxError') && end > 0) err.stack = stderr.slice(0, end).replace(/^file:\/\//, '') + '\n' + err.stack;
}

async function loadModule(root, folder, name, base) {
  let file;
  try {
    file = [base, base + '.js', base + '.mjs', base + '.cjs'].find(isFile);
    if (!file) file = require.resolve(name, { paths: [folder, root] });
    let esm = isModule(file);
    if (esm && file.endsWith('.js') && isCommonJS(path.resolve(root), file)) {
      shut(path.resolve(root));
      esm = false;
    }
    bringSDK(esm, file);
    if (!esm) return require(file);
    return await import(require('url').pathToFileURL(file).href);
  } catch (err) {
    if (err instanceof SyntaxError) {
      place(err, file);
      throw new RuntimeError('Runtime.UserCodeSyntaxError', err);
    }
    if (err && (err.code === 'MODULE_NOT_FOUND' || err.code === 'ERR_MODULE_NOT_FOUND')) throw new RuntimeError('Runtime.ImportModuleError', err);
    throw err;
  }
}

// whenIdle is what is to be done when the event loop is empty; abandon is what
// an error that nobody caught leads to.
let whenIdle = null;
let abandon = null;

// Output that doesn't fit into a pipe at once is written later by Node.js, and
// must not be overtaken by the answer. The streams are made at their first use,
// which is seen here, so that a silent handler doesn't pay for them.
const written = new Set();
for (const name of ['stdout', 'stderr']) {
  const property = Object.getOwnPropertyDescriptor(process, name);
  if (!property || !property.get || !property.configurable) continue;
  Object.defineProperty(process, name, {
    ...property,
    get() {
      const stream = property.get.call(process);
      written.add(stream);
      return stream;
    },
  });
}

// afterOutput calls fn when all that was written has left the process; at once
// when it has already.
function afterOutput(fn) {
  for (const stream of written) {
    if (stream.writableLength > 0 && !stream.destroyed) {
      stream.write('', () => afterOutput(fn));
      return;
    }
  }
  fn();
}

// patchConsole has console write as on Lambda: one line an entry, with time,
// request id and level, or one JSON object. All of it goes to stdout; line ends
// within an entry are carriage returns, which the reader turns back.
let requestID;
function patchConsole() {
  const order = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
  const lowest = order.indexOf((env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase());
  const asJSON = (env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const told = (err) => ({
    errorType: (err.constructor && err.constructor.name) || 'UnknownError',
    errorMessage: err.message,
    stackTrace: typeof err.stack === 'string' ? err.stack.split('\n') : err.stack,
  });
  const object = (level, args) => {
    const { format } = require('util');
    const entry = { timestamp: new Date().toISOString(), level, requestId: requestID };
    if (args.length === 1) {
      entry.message = args[0];
      try {
        return JSON.stringify(entry, (_, v) => (v instanceof Error ? { ...told(v), ...v } : v));
      } catch (_) {} // a cycle, a BigInt
    }
    entry.message = format(...args);
    const err = args.length > 1 && args.find((a) => a instanceof Error);
    return JSON.stringify(err ? { ...entry, ...told(err) } : entry);
  };
  const text = (level, args) => new Date().toISOString() + '\t' + requestID + '\t' + level + '\t' + require('util').format(...args);
  const line = asJSON ? object : text;
  const method = (name, level) => {
    console[name] = order.indexOf(level) < lowest && level !== 'FATAL' ? () => {} : (...args) => {
      process.stdout.write(line(level, args.length ? args : [undefined]).replace(/\n/g, '\r') + '\n');
    };
  };
  for (const [name, level] of [['trace', 'TRACE'], ['debug', 'DEBUG'], ['info', 'INFO'], ['log', 'INFO'], ['warn', 'WARN'], ['error', 'ERROR'], ['fatal', 'FATAL']]) method(name, level);
}

// lost is what an error between two invocations leads to: there is no caller.
function lost(err, code) {
  process.stderr.write((err && err.stack ? err.stack : String(err)) + '\n');
  process.exit(code);
}

process.on('beforeExit', () => {
  const fn = whenIdle;
  whenIdle = null;
  if (fn) fn();
});

process.on('uncaughtException', (err) => {
  if (abandon) abandon(err, 129);
});

process.on('unhandledRejection', (reason, promise) => {
  if (runtimeVersion > 0 && runtimeVersion < 12) {
    process.stderr.write('UnhandledPromiseRejectionWarning: ' + (reason && reason.stack ? reason.stack : String(reason)) + '\n');
    return;
  }
  const err = new RuntimeError('Runtime.UnhandledPromiseRejection', reason);
  if (abandon) abandon(err, 128);
});

function parseHeader(text) {
  return text ? JSON.parse(text) : undefined;
}

// contextOf returns the handler's second argument; settle(err, result)
// takes the first answer of whatever gives one.
function contextOf(headers, settle) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseHeader(headers['lambda-runtime-client-context']),
    identity: parseHeader(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: (err, result) => settle(err, result),
    succeed: (result) => settle(null, result),
    fail: (err) => settle(err === undefined || err === null ? 'handled' : err),
  };
}

// invoke runs the handler once. The promise ends when the answer is taken; its
// value is the next invocation, if that was asked for already. It is when a
// handler's promise has ended: one that calls back may go on, and has to come to
// an end first.
function invoke(api, handler, request) {
  const id = request.headers['lambda-runtime-aws-request-id'];
  requestID = id;
  return new Promise((resolve) => {
    let settled = false;
    const finish = (err, result, andNext) => {
      whenIdle = null;
      abandon = lost;
      let body;
      if (err === undefined || err === null) {
        try {
          body = JSON.stringify(result === undefined ? null : result);
          if (body === undefined) body = 'null';
        } catch (_) {
          err = new Error('Unable to stringify response body');
        }
      }
      afterOutput(() => {
        if (body === undefined) api.fail('/invocation/' + id + '/error', err).then(() => resolve());
        else if (andNext) resolve(api.respond(id, body, true));
        else api.respond(id, body).then(() => resolve());
      });
    };
    const settle = (err, result, andNext) => {
      if (settled) return;
      settled = true;
      finish(err, result, andNext);
    };
    const context = contextOf(request.headers, settle);
    const callback = (err, result) => {
      if (settled) return;
      settled = true;
      if ((err !== undefined && err !== null) || !context.callbackWaitsForEmptyEventLoop) {
        finish(err, result);
      } else {
        whenIdle = () => setImmediate(finish, null, result);
      }
    };
    abandon = (err, code) => {
      settled = true;
      whenIdle = null;
      abandon = null;
      api.fail('/invocation/' + id + '/error', err).then(() => process.exit(code));
    };
    whenIdle = () => settle(null, null);
    try {
      const returned = handler(JSON.parse(request.body), context, callback);
      if (returned && typeof returned.then === 'function') returned.then((result) => settle(null, result, true), settleWith(settle));
    } catch (err) {
      settle(err === undefined || err === null ? 'handled' : err);
    }
  });
}

// settleWith makes a rejection without a reason an error all the same.
function settleWith(settle) {
  return (err) => settle(err === undefined || err === null ? String(err) : err);
}

async function main() {
  const api = new RuntimeAPI(env.AWS_LAMBDA_RUNTIME_API);
  patchConsole();
  globalThis.awslambda = {
    streamifyResponse() {
      throw new RuntimeError('Runtime.StreamingUnsupported', "Tidegate doesn't run streaming handlers (awslambda.streamifyResponse) yet; export a handler that returns its response");
    },
    HttpResponseStream: streaming,
  };
  abandon = (err, code) => {
    abandon = null;
    api.fail('/init/error', err).then(() => process.exit(code));
  };
  let handler;
  try {
    handler = await load(env.LAMBDA_TASK_ROOT, env._HANDLER);
    // A rejection that nobody took while loading is reported in the next turn.
    await new Promise(setImmediate);
  } catch (err) {
    await api.fail('/init/error', err);
    process.exit(1);
  }
  abandon = lost;
  for (let request; ;) {
    request = request || await api.next();
    if (request.status !== 200) {
      process.stderr.write('tidegate: the Runtime API answered ' + request.status + ': ' + request.body + '\n');
      process.exit(1);
    }
    env._X_AMZN_TRACE_ID = request.headers['lambda-runtime-trace-id'] || '';
    request = await invoke(api, handler, request);
  }
}

main();
