"""What the records of a dataset may hold, beyond what its schema says of each value.

Two rules of the guide: "the keywords can't be in your data"
(https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html), taken here for values that are a
reserved keyword of the dataset, letter by letter; and at most ten "distinct event types combined with total number of
optional metadata columns" (https://docs.aws.amazon.com/personalize/latest/dg/limits.html). When AWS looks, and what it
says then, is (unknown): here imports fail and events are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from personalize_local.service import requirements
from personalize_local.service.requirements import INTERACTIONS
from personalize_local.service.rows import decode, id_reader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from personalize_local.service.avro import Schema
    from personalize_local.service.quotas import Quotas

EVENT_TYPE = "EVENT_TYPE"


class NotAllowedError(Exception):
    """The records break a rule; the text says which."""


@dataclass(frozen=True)
class Rules:
    """The rules for one dataset.

    Args:
        schema: Its schema.
        keywords: What no value may be.
        metadata_fields: How many metadata fields the schema has.
        counts_event_types: Whether it has event types.
        most_event_types: How many event types and metadata fields there may be together.
    """

    schema: Schema
    keywords: frozenset[str]
    metadata_fields: int
    counts_event_types: bool
    most_event_types: int

    @classmethod
    def of(cls, schema: Schema, dataset_type: str, domain: str, quotas: Quotas) -> Rules:
        """Return the rules for a dataset of this type, in a group of this domain."""
        named = any(column.name == EVENT_TYPE for column in schema.columns)
        return cls(
            schema,
            requirements.keywords(dataset_type, domain),
            requirements.metadata_fields(schema, dataset_type, domain),
            dataset_type == INTERACTIONS and named,
            quotas.event_types,
        )

    @cached_property
    def _words(self) -> list[bytes]:
        """The keywords as they would be in a line."""
        return [keyword.encode() for keyword in self.keywords]

    def check_values(self, values: Iterable[str]) -> None:
        """Refuse a value that is a keyword.

        Raises:
            NotAllowedError: Naming it.
        """
        found = self.keywords.intersection(values)
        if found:
            raise NotAllowedError(f"The reserved keyword {min(found)} can't be in the data, as a value")

    def look(self, text: bytes, types: set[str]) -> None:
        """Look at imported records, and add their event types to ``types``.

        Raises:
            NotAllowedError: A value is a keyword, or there are too many event types.
        """
        if any(word in text for word in self._words):
            for line in text.split(b"\n"):
                self.check_values(decode(line))
        if self.counts_event_types:
            types.update(value.decode() for value in _column(text, self.schema.position(EVENT_TYPE)))
            self.check_event_types(types)

    def check_event_types(self, types: Collection[str]) -> None:
        """Refuse more event types than a dataset may have.

        Raises:
            NotAllowedError: Saying how many there are.
        """
        if self.counts_event_types and len(types) + self.metadata_fields > self.most_event_types:
            raise NotAllowedError(
                f"An Item interactions dataset can have at most {self.most_event_types} distinct event types and "
                f"metadata fields together: there would be at least {len(types)} event "
                f"types, and the schema has {self.metadata_fields} metadata fields"
            )


def _column(text: bytes, position: int) -> set[bytes]:
    """Return the distinct values of a column."""
    lines = text.split(b"\n")
    if b'"' not in text:
        return {line.split(b",", position + 1)[position] for line in lines}
    return set(map(id_reader(position), lines))
