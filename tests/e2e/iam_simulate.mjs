// Evaluates requests against policies with an evaluator that is not ours: stdin and stdout are JSON, and the argument is
// the folder it is installed in. It is under the AGPL: it runs in this process alone, and is part of no distribution.
//
// In:  {policies: {name: document}, questions: [{principal, action, resource, account, context, identity: [name],
//      resourcePolicy: name | null}], variants: [{policy: name, document: document | null}]}
// Out: {answers: [{result, allowedBy: [[policy name, statement number]]}], variants: [[number of each question denied]]}
import { createRequire } from 'node:module'

const { runSimulation } = createRequire(`${process.argv[2]}/`)('@cloud-copilot/iam-simulate')

async function ask(question, policies) {
  const response = await runSimulation(
    {
      request: {
        principal: question.principal,
        action: question.action,
        resource: { resource: question.resource, accountId: question.account },
        contextVariables: question.context,
      },
      identityPolicies: question.identity
        .filter((name) => policies[name])
        .map((name) => ({ name, policy: policies[name] })),
      resourcePolicy: policies[question.resourcePolicy] ?? undefined,
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  )
  if (response.resultType === 'error') {
    throw new Error(`${JSON.stringify(question)}: ${JSON.stringify(response.errors)}`)
  }
  // A request for "any log stream" is answered for each pattern of the policies.
  const results = response.resultType === 'wildcard' ? response.results : [response.result]
  const allowedBy = results.flatMap(({ analysis }) => [
    ...(analysis.identityAnalysis?.allowStatements ?? []).map((found) => [found.policyId, found.explain.identifier]),
    ...(analysis.resourceAnalysis?.allowStatements ?? []).map((found) => [question.resourcePolicy, found.explain.identifier]),
  ])
  return { result: response.overallResult, allowedBy }
}

let text = ''
for await (const chunk of process.stdin) text += chunk
const { policies, questions, variants } = JSON.parse(text)

const answers = await Promise.all(questions.map((question) => ask(question, policies)))
const denied = []
for (const { policy, document } of variants) {
  const changed = { ...policies, [policy]: document }
  const found = []
  for (const [number, question] of questions.entries()) {
    if (![...question.identity, question.resourcePolicy].includes(policy)) continue
    if ((await ask(question, changed)).result !== 'Allowed') found.push(number)
  }
  denied.push(found)
}
process.stdout.write(JSON.stringify({ answers, variants: denied }))
