"""The service quotas of Amazon Personalize that bear on datasets, each of them a setting.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/limits.html: every default is documented there, but for what
is marked. Quotas of other operations (solutions, campaigns, recommendations) and of training are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """How much of everything an account, a dataset group or a call may have.

    Args:
        active_schemas: Schemas in an account and Region.
        active_dataset_groups: Dataset groups in an account and Region.
        concurrent_jobs: Import or export jobs that are pending or running; (unknown) for exports.
        pending_deletion_jobs: Data deletion jobs of a dataset group that are pending.
        minimum_interactions: How many interactions an import needs, whatever its mode.
        interaction_metadata_columns: Metadata fields of an Item interactions schema.
        user_metadata_columns: Metadata fields of a Users schema.
        item_metadata_columns: Metadata fields of an Items schema.
        action_metadata_columns: Metadata fields of an Actions schema.
        action_interaction_metadata_columns: Metadata fields of an Action interactions schema.
        textual_columns: Textual fields of an Items schema.
        full_import_bytes: What an import with mode FULL may read.
        incremental_import_bytes: What an import with mode INCREMENTAL may read.
        deletion_bytes: What a data deletion job may read.
        event_bytes: The size of one event.
        event_types: Distinct event types and metadata fields of an Item interactions dataset, taken together.
        interaction_requests_per_second: PutEvents, and PutActionInteractions, of a dataset group in a second.
        record_requests_per_second: PutItems, PutUsers, and PutActions, of a dataset group in a second, each by itself.
    """

    active_schemas: int = 500
    active_dataset_groups: int = 5
    concurrent_jobs: int = 5
    pending_deletion_jobs: int = 5
    minimum_interactions: int = 1000
    interaction_metadata_columns: int = 5
    user_metadata_columns: int = 25
    item_metadata_columns: int = 100
    action_metadata_columns: int = 10
    action_interaction_metadata_columns: int = 5
    textual_columns: int = 1
    full_import_bytes: int = 100 * GB
    incremental_import_bytes: int = GB
    deletion_bytes: int = 100 * MB
    event_bytes: int = 10 * KB
    event_types: int = 10
    interaction_requests_per_second: int = 1000
    record_requests_per_second: int = 10

    def metadata_columns(self, dataset_type: str) -> int:
        """Return how many metadata fields the schema of a dataset type may have."""
        return {
            "INTERACTIONS": self.interaction_metadata_columns,
            "USERS": self.user_metadata_columns,
            "ITEMS": self.item_metadata_columns,
            "ACTIONS": self.action_metadata_columns,
            "ACTION_INTERACTIONS": self.action_interaction_metadata_columns,
        }[dataset_type]
