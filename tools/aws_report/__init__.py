"""Answers, on an AWS account of yours, what AWS does not document about dataset export jobs: `make aws-report`.

What is asked is in `questions`, what is made and what it costs in `plan`, and what is taken out of the report in
`redact`. It rests on https://docs.aws.amazon.com/personalize/latest/dg/export-data.html, which leaves these questions
open.
"""
