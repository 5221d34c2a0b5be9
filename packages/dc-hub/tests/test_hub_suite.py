"""The kit for hubs: its laws are these, and the hubs of dc-hub keep every one."""

import runpy
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from dc_hub import LocalHub, write_index
from dc_hub.remote.buckets import BucketHub
from dc_hub.remote.cache import Cache
from dc_hub.remote.http import HTTPStore
from dc_hub.remote.hub import RemoteHub
from dc_hub.remote.s3 import S3Store
from dc_hub.testing import HubSuite

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))

LAWS = [
    "test_a_removed_revision_is_gone_and_others_stay",
    "test_a_tagged_revision_is_removed_only_with_its_tags",
    "test_a_removed_model_is_gone",
    "test_removing_the_only_revision_removes_the_model",
    "test_removing_what_is_not_there_is_a_typed_error",
    "test_a_tag_moves_only_from_where_it_was_expected",
    "test_a_tag_that_points_there_already_is_left",
    "test_a_tag_points_only_at_what_is_stored",
    "test_of_two_who_move_a_tag_one_is_told",
    "test_a_deleted_tag_is_gone_and_its_revision_stays",
    "test_only_the_expected_tag_is_deleted",
    "test_trust_policies_can_tell_where_a_model_is",
    "test_a_model_has_the_signatures_that_it_was_published_with",
    "test_signatures_are_joined_and_none_is_lost",
    "test_what_it_cannot_do_raises_read_only_hub",
    "test_equal_models_have_equal_revisions",
    "test_publish_returns_what_it_stored",
    "test_publishing_the_same_again_changes_nothing",
    "test_publishing_moves_the_tags_that_are_given",
    "test_a_failed_publish_changes_nothing",
    "test_an_interrupted_publish_leaves_the_old_or_the_new_model",
    "test_two_who_publish_at_once_lose_nothing",
    "test_a_model_comes_back_as_it_was_published",
    "test_files_come_back_as_they_were_stored",
    "test_progress_ends_with_the_size_of_all_files",
    "test_several_threads_fetch_at_once",
    "test_a_file_changed_in_the_store_is_refused",
    "test_one_chunk_is_read_alone",
    "test_a_changed_chunk_is_refused",
    "test_a_changed_manifest_is_refused",
    "test_files_damaged_on_this_machine_are_noticed",
    "test_it_has_every_method_of_a_hub",
    "test_a_revision_is_found_by_digest_tag_and_prefix",
    "test_an_ambiguous_prefix_is_refused",
    "test_what_is_not_there_is_a_typed_error",
    "test_malformed_names_are_refused",
    "test_malformed_tags_are_refused",
    "test_what_it_holds_is_listed",
    "test_the_manifest_is_known_without_fetching",
]


def test_no_law_is_dropped_or_added_in_silence():
    assert list(HubSuite.laws()) == LAWS


class TestLocalHub(HubSuite):
    def make(self, folder):
        return LocalHub(folder / "hub")

    def reopen(self, hub, folder):
        return LocalHub(hub.path)

    def change(self, hub, name, revision, file, new):
        path = hub.path / name / "revisions" / revision / file
        path.write_bytes(new(path.read_bytes()))


class WebSuite(HubSuite):
    publishes = moves_tags = removes = False

    @pytest.fixture(autouse=True)
    def served(self, tmp_path):
        with web.serve(tmp_path) as server:
            self.server = server
            yield

    def root(self, hub):
        return self.server.root / hub.store.url.rpartition("/")[2]

    def make(self, folder):
        return RemoteHub(HTTPStore(f"{self.server.url}/{uuid.uuid4()}"), Cache(folder))

    def reopen(self, hub, folder):
        return RemoteHub(HTTPStore(hub.store.url), Cache(folder))

    def change(self, hub, name, revision, file, new):
        path = self.root(hub) / name / "revisions" / revision / file
        path.write_bytes(new(path.read_bytes()))


class TestWebServerWithIndex(WebSuite):
    def put(self, hub, name, files, tags):
        local = LocalHub(self.root(hub))
        super().put(local, name, files, tags)
        write_index(local.path)


class TestWebServerWithoutIndex(WebSuite):
    lists = False

    def put(self, hub, name, files, tags):
        super().put(LocalHub(self.root(hub)), name, files, tags)


class TestBucket(HubSuite):
    interrupts = 20

    @pytest.fixture(autouse=True)
    def bucket(self, buckets):
        self.client = buckets
        buckets.create_bucket(Bucket="suite")

    def make(self, folder):
        return BucketHub(S3Store(f"s3://suite/{uuid.uuid4()}"), Cache(folder))

    def reopen(self, hub, folder):
        return BucketHub(S3Store(hub.store.url), Cache(folder))

    def change(self, hub, name, revision, file, new):
        prefix = hub.store.url.rpartition("/")[2]
        key = f"{prefix}/{name}/revisions/{revision}/{file}"
        data = self.client.get_object(Bucket="suite", Key=key)["Body"].read()
        self.client.put_object(Bucket="suite", Key=key, Body=new(data))
