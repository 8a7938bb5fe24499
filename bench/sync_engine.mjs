// A host of @supabase/stripe-sync-engine as its documentation shows it: fastify hands the raw body and the signature to it.
// The environment says where: DATABASE_URL, SECRET, PORT, WORKERS; with MIGRATE it prepares the database, and ends.
import cluster from 'node:cluster'
import { createRequire } from 'node:module'
import fastify from 'fastify'

// In 0.48.5 only the CommonJS build can migrate: the other one has no __dirname, and says so to a logger alone.
const { StripeSync, runMigrations } = createRequire(import.meta.url)('@supabase/stripe-sync-engine')
const { DATABASE_URL, SECRET, PORT, WORKERS, MIGRATE } = process.env
const fail = (error, ...more) => { console.error(error, ...more); process.exit(1) }

if (MIGRATE) {
  await runMigrations({ databaseUrl: DATABASE_URL, schema: 'stripe', logger: { info() {}, error: fail } })
  process.exit(0)
}
if (cluster.isPrimary && WORKERS > 1) {
  for (let each = 0; each < WORKERS; each++) cluster.fork()
  process.on('SIGTERM', () => { for (const worker of Object.values(cluster.workers)) worker.kill(); process.exit(0) })
} else {
  const sync = new StripeSync({
    poolConfig: { connectionString: DATABASE_URL, max: 10, keepAlive: true }, // as in its README
    schema: 'stripe',
    stripeSecretKey: 'sk_test_bench',
    stripeWebhookSecret: SECRET,
    autoExpandLists: false,
    backfillRelatedEntities: true,
  })
  const app = fastify()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, raw, done) => done(null, raw))
  app.post('/webhooks', async (request, reply) => {
    try {
      await sync.processWebhook(request.body, request.headers['stripe-signature'])
    } catch (error) {
      return reply.code(400).send(String(error))
    }
    return { received: true }
  })
  await app.listen({ port: Number(PORT), host: '127.0.0.1' })
  process.on('SIGTERM', () => process.exit(0))
  console.log('serves')
}
