// The backend of a room: Tidegate calls it for each client that comes, speaks and
// leaves; it pushes to all who are there. Node.js 18 or newer, no packages.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const { GATEWAY = 'http://127.0.0.1:8421/prod', BACKEND_TOKEN, WEBHOOK_SECRET, PORT = '3000' } = process.env
const secret = Buffer.from(WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64')
const room = new Set()

// genuine says that Tidegate sent the request, and lately.
// https://github.com/standard-webhooks/standard-webhooks
function genuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': given = '' } = headers
  if (!(Math.abs(Date.now() / 1000 - Number(at)) < 300)) return false
  const want = Buffer.from('v1,' + createHmac('sha256', secret).update(`${id}.${at}.`).update(body).digest('base64'))
  return given.split(' ').map(s => Buffer.from(s)).some(s => s.length === want.length && timingSafeEqual(s, want))
}

async function push(id, message) {
  const answer = await fetch(`${GATEWAY}/@connections/${encodeURIComponent(id)}`, {
    method: 'POST', body: message, headers: { authorization: `Bearer ${BACKEND_TOKEN}` },
  })
  if (answer.status === 410) room.delete(id)
  else if (!answer.ok) console.error(`push to ${id}: ${answer.status} ${await answer.text()}`)
}

const server = createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  if (!genuine(request.headers, body)) return response.writeHead(401).end()
  const id = request.headers['tidegate-connection-id']
  switch (request.headers['tidegate-event']) {
    case 'CONNECT': room.add(id); break // it can be pushed to once this is answered
    case 'DISCONNECT': room.delete(id); break
    case 'MESSAGE':
      if (request.headers['tidegate-route-key'] !== 'say') {
        return response.writeHead(200, { 'content-type': 'text/plain' }).end(`you are ${id}; send {"action":"say","text":"…"}`)
      }
      const { text } = JSON.parse(body)
      await Promise.all([...room].map(other => push(other, JSON.stringify({ text }))))
  }
  response.writeHead(204).end()
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`))
