// Makes calls with the AWS SDK for JavaScript: stdin and stdout are lines of JSON.
//
// Argument: the folder whose node_modules has the SDK.
// In:  {service, operation, input, pages: whether to ask for every page}
// Out: {value} or {error: {name, message, status}}
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(`${process.argv[2]}/`)
const sdks = Object.fromEntries(
  ['personalize', 'personalize-events', 's3'].map((service) => [service, require(`@aws-sdk/client-${service}`)]),
)
const clients = {
  personalize: new sdks.personalize.PersonalizeClient(),
  'personalize-events': new sdks['personalize-events'].PersonalizeEventsClient(),
  s3: new sdks.s3.S3Client(),
}

// The SDK wants an object of JavaScript where the API has a time.
const input = (value) => JSON.parse(value, (name, item) => (name === 'sentAt' ? new Date(item * 1000) : item))

async function answer({ service, operation, input, pages }) {
  const sdk = sdks[service]
  if (pages) {
    const found = []
    for await (const page of sdk[`paginate${operation}`]({ client: clients[service], pageSize: pages }, input)) {
      found.push(page)
    }
    return found
  }
  const { $metadata, ...value } = await clients[service].send(new sdk[`${operation}Command`](input))
  return value.Body ? { ...value, Body: await value.Body.transformToString() } : value
}

for await (const line of createInterface({ input: process.stdin })) {
  let said
  try {
    said = { value: await answer(input(line)) }
  } catch (error) {
    said = { error: { name: error.name, message: error.message, status: error.$metadata?.httpStatusCode } }
  }
  console.log(JSON.stringify(said))
}
