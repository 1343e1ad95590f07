"""A moment of a world: exact by shard, whole in one."""

from __future__ import annotations

import json

import pytest

from recordings.past import freeze
from tests.world.harness import QUIET, TinyCluster
from world.ids import HALL, AgentId, Tick
from world.key_frame import BadKeyFrame
from world.moment import Moment


def moment_of(cluster: TinyCluster) -> Moment:
    shards = {world.shard: freeze(world) for world in cluster.shards}
    return Moment(cluster.seed, cluster.rules, Tick(cluster.tick), shards)


def test_it_is_the_same_from_json() -> None:
    cluster = TinyCluster(1, QUIET, 3)
    cluster.join("a")
    moment = Moment.from_json(json.loads(json.dumps(moment_of(cluster).to_json())))
    shard, world = moment.shard(0), moment.world()
    assert shard.agent(AgentId("a")) == world.agent(AgentId("a")) == cluster.shards[0].agent(AgentId("a"))
    assert world.chunk_ids == moment.chunk_ids == [HALL]


@pytest.mark.parametrize("damage", [None, [], {}, {"format": 1}, {"format": 1, "rules_version": 1, "seed": "x"}])
def test_what_is_none(damage: object) -> None:
    with pytest.raises(BadKeyFrame):
        Moment.from_json(damage)


def test_another_version_is_refused() -> None:
    data = moment_of(TinyCluster(1, QUIET, 3)).to_json() | {"rules_version": 99}
    with pytest.raises(BadKeyFrame, match="version 99 of the rules"):
        Moment.from_json(data)
