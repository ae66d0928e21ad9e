"""The methods of Storm's Nimbus on top of a Cluster. Blocks; called from several threads."""

from __future__ import annotations

import json
import secrets
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heronshim.config import TopologyOptions, parse_options
from heronshim.core.io.logs import log_event
from heronshim.core.plan.validation import topology_name_problems
from heronshim.errors import (
    ConfigError,
    HeronshimError,
    NotFoundError,
    RefusedError,
    StateError,
    TopologyError,
    UploadError,
)
from heronshim.storm.answers import topology_info, topology_summary
from heronshim.storm.config_values import (
    NAME,
    STORM_ID,
    dump_conf,
    parse_conf,
)
from heronshim.storm.errors import (
    AlreadyAliveError,
    InvalidTopologyError,
    KeyNotFoundError,
    NotAliveError,
)
from heronshim.storm.interface import nimbus_interface
from heronshim.storm.jar_resources import unpack_resources
from heronshim.storm.kills import Kills
from heronshim.storm.logical_plan import CODE_FILE, CONF_FILE, JAR_FILE, logical_plan
from heronshim.storm.normalization import normalize_conf, normalize_topology
from heronshim.storm.thrift_codec import struct_from_bytes, struct_to_bytes
from heronshim.storm.uploads import SUBMIT_PREFIX
from heronshim.storm.validation import check_name, check_topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.storm.cluster import Cluster, TopologyFacts
    from heronshim.storm.thrift_codec import Structure
    from heronshim.storm.uploads import Uploads

    Handler = Callable[[Structure], Any]

SERVED_VERSION = "2.8.3"
"""Storm's version whose service this is. Clients compare it with what a method needs."""
INFO_ERRORS = {"ALL": None, "ONE": 1, "NONE": 0}


class Nimbus:
    """Answers calls. One object for all clients."""

    def __init__(
        self,
        cluster: Cluster,
        uploads: Uploads,
        host: str,
        port: int,
        on_submit: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`host` and `port` are what clients are told to connect to.

        `on_submit` is called with the name of each topology that was submitted.
        """
        self._cluster = cluster
        self._uploads = uploads
        self._host = host
        self.port = port
        self._on_submit = on_submit
        self._began_s = time.monotonic()
        self._submits = 0
        self._lock = threading.Lock()
        self._kills = Kills(cluster)
        self._handlers: dict[str, Handler] = {
            "getLeader": lambda _: self._summary(),
            "getClusterInfo": lambda _: self._cluster_info(),
            "getNimbusConf": lambda _: json.dumps(
                {"nimbus.thrift.port": self.port, "storm.cluster.mode": "distributed"}
            ),
            "getTopologySummaries": lambda _: self._summaries(),
            "getTopologySummary": lambda call: self._topology_summary(self._by_id(call["id"])),
            "getTopologySummaryByName": lambda call: self._topology_summary(call["name"]),
            "getTopologyInfo": lambda call: self._info(self._by_id(call["id"]), {}),
            "getTopologyInfoWithOpts": lambda call: self._info(
                self._by_id(call["id"]), call.get("options", {})
            ),
            "getTopologyInfoByName": lambda call: self._info(call["name"], {}),
            "getTopologyInfoByNameWithOpts": lambda call: self._info(
                call["name"], call.get("options", {})
            ),
            "getTopologyConf": self._conf,
            "getTopology": self._topology,
            "getUserTopology": self._topology,
            "isTopologyNameAllowed": self._is_name_allowed,
            "beginFileUpload": lambda _: uploads.begin(),
            "uploadChunk": lambda call: uploads.append(call["location"], call["chunk"]),
            "finishFileUpload": lambda call: uploads.finish(call["location"]),
            "submitTopology": lambda call: self._submit(call, {"initial_status": "ACTIVE"}),
            "submitTopologyWithOpts": lambda call: self._submit(call, call.get("options")),
            "activate": lambda call: self._switch(call["name"], active=True),
            "deactivate": lambda call: self._switch(call["name"], active=False),
            "killTopology": lambda call: self._kill(call["name"], {}),
            "killTopologyWithOpts": lambda call: self._kill(call["name"], call.get("options", {})),
            "rebalance": self._rebalance,
            "listBlobs": lambda _: {"keys": [], "session": secrets.token_hex(8)},
            "getBlobMeta": self._blob_meta,
        }

    def call(self, method: str, arguments: Structure) -> Any:
        """Return what a served method answers; None for void.

        Raises:
            NimbusError: one of the exceptions that the method declares.
            HeronshimError: it failed.
        """
        return self._handlers[method](arguments)

    def close(self) -> None:
        """Finish kills that have begun, without waiting for open trees any longer."""
        self._kills.close()

    def _summary(self) -> Structure:
        return {
            "host": self._host,
            "port": self.port,
            "uptime_secs": int(time.monotonic() - self._began_s),
            "isLeader": True,
            "version": SERVED_VERSION,
        }

    def _cluster_info(self) -> Structure:
        return {
            "supervisors": [],
            "nimbus_uptime_secs": self._summary()["uptime_secs"],
            "topologies": self._summaries(),
            "nimbuses": [self._summary()],
        }

    def _summaries(self) -> list[Structure]:
        found = []
        for name in self._cluster.names():
            try:
                found.append(self._topology_summary(name))
            except HeronshimError as error:
                # One that is damaged, or goes just now, hides no other.
                log_event("WARNING", "topology_not_listed", topology=name, cause=error)
        return found

    def _topology_summary(self, name: str) -> Structure:
        facts = self._facts(name)
        return topology_summary(facts, int(time.time()), dying=self._is_dying(facts))

    def _info(self, name: str, options: Structure) -> Structure:
        facts = self._facts(name)
        snapshot = self._cluster.metrics(name)
        errors = self._cluster.errors(name)
        tasks = snapshot.tasks if snapshot else ()
        info = topology_info(facts, tasks, errors, int(time.time()), dying=self._is_dying(facts))
        limit = INFO_ERRORS[options.get("num_err_choice", "ALL")]
        info["errors"] = {name: found[:limit] for name, found in info["errors"].items()}
        return info

    def _facts(self, name: str) -> TopologyFacts:
        if topology_name_problems(name):
            raise _not_alive(name)
        try:
            return self._cluster.facts(name)
        except NotFoundError as error:
            raise _not_alive(name) from error

    def _is_dying(self, facts: TopologyFacts) -> bool:
        return (facts.record.name, facts.record.id) in self._kills

    def _by_id(self, topology_id: str) -> str:
        """Return the name of the topology with an id."""
        for name in self._cluster.names():
            with suppress(HeronshimError):
                if self._cluster.facts(name).record.id == topology_id:
                    return name
        raise _not_alive(topology_id)

    def _conf(self, call: Structure) -> str:
        name = self._by_id(call["id"])
        return self._cluster.package_file(name, CONF_FILE).decode()

    def _topology(self, call: Structure) -> Structure:
        name = self._by_id(call["id"])
        code = self._cluster.package_file(name, CODE_FILE)
        return struct_from_bytes(code, nimbus_interface().structs["StormTopology"], CODE_FILE)

    def _is_name_allowed(self, call: Structure) -> bool:
        try:
            check_name(call["name"])
        except InvalidTopologyError:
            return False
        return call["name"] not in self._cluster.names()

    def _submit(self, call: Structure, options: Structure | None) -> None:
        if options is None:
            msg = "Cannot submitTopologyWithOpts: SubmitOptions parameter value is null"
            raise InvalidTopologyError(msg)
        name = call["name"]
        check_name(name)
        if name in self._cluster.names():
            msg = f"{name} is already alive"
            raise AlreadyAliveError(msg)
        topology_id = self._new_id(name)
        conf = parse_conf(call["jsonConf"], f"The configuration of topology {name}")
        conf |= {NAME: name, STORM_ID: topology_id}
        check_topology(call["topology"], conf)
        conf = normalize_conf(conf, call["topology"])
        normalized = normalize_topology(conf, call["topology"])
        plan = logical_plan(name, topology_id, normalized, conf)
        for warning in plan.warnings:
            log_event("WARNING", "storm_topology", topology=name, warning=warning)
        location = call["uploadedJarLocation"]
        jar = self._uploads.take(location)
        done = False
        try:
            with tempfile.TemporaryDirectory(prefix=SUBMIT_PREFIX, dir=jar.parent) as folder:
                code, configuration = Path(folder) / CODE_FILE, Path(folder) / CONF_FILE
                structs = nimbus_interface().structs
                code.write_bytes(struct_to_bytes(normalized, structs["StormTopology"]))
                configuration.write_text(dump_conf(conf), "utf-8")
                files = unpack_resources(jar, Path(folder))
                files |= {JAR_FILE: jar, CODE_FILE: code, CONF_FILE: configuration}
                self._cluster.submit(
                    plan.topology,
                    files,
                    active=options["initial_status"] == "ACTIVE",
                )
            done = True
        except (TopologyError, ConfigError) as error:
            raise InvalidTopologyError(str(error)) from error
        except RefusedError as error:
            msg = f"{name} is already alive: {error}"
            raise AlreadyAliveError(msg) from error
        except OSError as error:
            msg = f"{jar.parent} cannot be written: {error.strerror or error}; check the disk"
            raise UploadError(msg) from error
        finally:
            self._uploads.release(location, remove=done)
        self._on_submit(name)
        log_event("INFO", "topology_submitted", topology=name, id=topology_id)

    def _new_id(self, name: str) -> str:
        with self._lock:
            self._submits += 1
            return f"{name}-{self._submits}-{int(time.time())}"

    def _switch(self, name: str, *, active: bool) -> None:
        if self._is_dying(self._facts(name)):
            msg = f'topology "{name}" was killed; it can be neither activated nor deactivated'
            raise RefusedError(msg)
        self._cluster.switch(name, active=active)
        log_event("INFO", "topology_switched", topology=name, active=active)

    def _kill(self, name: str, options: Structure) -> None:
        """Answer; then the spouts stop, and after the wait the topology goes, as in Storm."""
        try:
            facts = self._facts(name)
        except StateError:
            # Nobody could stop the spouts of a damaged one: there is nothing to wait for.
            self._kills.begin(name, "", 0.0)
            return
        timeout_s = parse_options(TopologyOptions, facts.topology.options).message_timeout_s
        wait_s = max(0.0, float(options.get("wait_secs", timeout_s)))
        self._kills.begin(name, facts.record.id, wait_s)

    def _rebalance(self, call: Structure) -> None:
        self._facts(call["name"])
        msg = "heronshim cannot rebalance a running topology: kill it and submit it again with "
        raise InvalidTopologyError(msg + "other numbers of workers and executors")

    def _blob_meta(self, call: Structure) -> Structure:
        msg = f"{call['key']}: there is no blob store"
        raise KeyNotFoundError(msg)


def _not_alive(name: str) -> NotAliveError:
    return NotAliveError(f"{name} is not alive")
