"""Keys that lie in a store: read at the start, rotated while calls go on, and kept when the store is gone."""

import json
import time

import pytest


def until(holds, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def begun(story, store, vendor, **more):
    """A gateway that serves, with its caller's, admin's and provider's key."""
    told = story(store, **more)
    caller, admin, provider = told.put("caller"), told.put("admin"), told.put("provider")
    vendor.accepted = {provider}
    told.gateway.start()
    assert told.ask(caller) == 200
    assert vendor.shown[-1] == provider
    return told, caller, admin, provider


def test_a_provider_key_is_rotated_and_no_call_fails(story, store, vendor):
    told, caller, _, old = begun(story, store, vendor)
    process = told.gateway.process.pid
    new = told.put("provider")
    # The vendor takes both for a while, as vendors do.
    vendor.accepted = {old, new}
    statuses = []

    def is_new():
        statuses.append(told.ask(caller))
        return vendor.shown[-1] == new

    until(is_new, "the new key is used")
    vendor.accepted = {new}
    statuses += [told.ask(caller) for _ in range(5)]
    assert set(statuses) == {200}
    assert told.gateway.process.pid == process and told.gateway.process.poll() is None


def test_a_key_that_the_vendor_refuses_is_read_again_before_its_time(story, store, vendor):
    told, caller, _, _ = begun(story, store, vendor, refresh_s=3600)
    vendor.accepted = {told.put("provider")}
    until(lambda: told.ask(caller) == 200, "the new key is used")


def test_keys_of_callers_and_admins_are_rotated(story, store, vendor):
    told, caller, admin, _ = begun(story, store, vendor)
    new_caller, new_admin = told.put("caller"), told.put("admin")
    until(lambda: told.ask(new_caller) == 200, "the new caller's key is taken")
    until(lambda: told.admin("/admin/secrets", new_admin)[0] == 200, "the new admin's key is taken")
    assert told.ask(caller) == 401
    assert told.admin("/admin/secrets", admin)[0] == 401


def test_a_store_that_is_gone_leaves_the_last_known_keys_and_nothing_shows_them(story, store, vendor):
    told, caller, admin, _ = begun(story, store, vendor)
    store.kill()

    def kept():
        return json.loads(told.admin("/admin/secrets", admin)[1])["secrets"]

    def of_store():
        return [one for one in kept() if one["store"] == store.name]

    assert len(of_store()) == 3
    until(lambda: all(one["error"] for one in of_store()), "it is told that the store is gone")
    assert all(one["fingerprint"] and one["age_s"] is not None for one in of_store())
    assert told.ask(caller) == 200
    metrics = told.admin("/metrics", admin)[1]
    failed = [line for line in metrics.splitlines() if line.startswith("askonce_secret_refresh_total")]
    assert any(f'store="{store.name}"' in line and 'outcome="failed"' in line for line in failed), failed
    assert "the last known value stays" in told.log()
    assert told.leaks(metrics, json.dumps(kept())) == []


def test_a_secret_that_is_not_there_is_named_and_nothing_starts(story, store, vendor):
    told = story(store)
    told.put("caller"), told.put("admin")
    with pytest.raises(RuntimeError, match="ended with exit code [1-9]"):
        told.gateway.start()
    assert store.reference.format("provider") in told.log()
    assert told.leaks() == []


def test_a_token_that_has_reached_its_longest_life_is_replaced(story, bao, vendor):
    told, caller, _, _ = begun(story, bao, vendor)
    # The role's tokens live for three seconds, and for eight with every renewal.
    time.sleep(10)
    vendor.accepted = {told.put("provider")}
    until(lambda: told.ask(caller) == 200, "the new key is used")


def test_a_role_that_may_not_read_is_told_so(story, bao, vendor):
    told = story(bao)
    told.put("caller"), told.put("admin"), told.put("provider")
    bao.api("sys/policies/acl/stories", {"policy": 'path "secret/data/other/*" { capabilities = ["read"] }'})
    with pytest.raises(RuntimeError, match="ended with exit code [1-9]"):
        told.gateway.start()
    assert "403" in told.log() and bao.reference.format("provider") in told.log()
    assert told.leaks() == []
