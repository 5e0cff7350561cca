"""What runs in Lambda: starts Amazon Personalize dataset export jobs and waits for them.

It is convergent: running it again, from any point, does nothing twice. CloudFormation invokes it asynchronously, so
Lambda repeats an invocation that dies after one and two minutes
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html). A retry, a duplicate, a crash, a
hand-over and a rollback all land on one job, because its name is derived from what shapes the export, and Personalize
takes a name only once.

- `index` chooses the door.
- `cloudformation` is the door of a deployment: reads the request, delivers the answer.
- `schedule` is the door of a schedule: reads the tick, tells the outcome.
- `properties` reads what is to be exported.
- `exports` does the work behind the doors: start or join a job, wait, hand over. It knows neither door.
- `manifest` writes which objects came of it, where somebody asked for that.
- `telling` says what became of it, where somebody asked for that: `events` on an event bus, `metrics` in the log.
- `jobs` knows the jobs of Personalize, `identity` their names.
- `waiting` and `errors` say how long to wait, and for which errors.
- `invocation`, `log` and `outbound` are Lambda, its log and everything else outside. Only `outbound.Outbound` touches
  clock, chance, HTTP and AWS; tests replace it, and nothing else.

The folder is shipped as it is, beside nothing but the standard library and boto3, which Lambda provides. Values are
named tuples: immutable as frozen dataclasses are, and quicker to import.
"""
