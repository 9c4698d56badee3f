"""A private Slurm of one machine: controller and node daemon, without accounts and without a service for credentials."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.wait import until

_CONFIG = """
ClusterName=flowq
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/none
CredType=cred/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SlurmUser=root
SlurmdUser=root
ReturnToService=2
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=100
"""


@contextmanager
def running(directory: Path) -> Iterator[list[str]]:
    """Run a cluster; yield the variables that its commands need, as `NAME=value`."""
    for name in ("state", "spool"):
        (directory / name).mkdir()
    config = directory / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    ports = free_ports(2)
    config.write_text(_CONFIG.format(host=host, directory=directory, controller=ports[0], daemon=ports[1]))
    env = os.environ | {"SLURM_CONF": str(config)}
    daemons = [
        subprocess.Popen(
            [shutil.which(name) or f"/usr/sbin/{name}", "-D", *more],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, *more in (["slurmctld", "-i"], ["slurmd"])
    ]
    try:
        until(lambda: _idle(env), timeout=60, message="the node of the Slurm cluster to be idle")
        yield [f"SLURM_CONF={config}"]
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()


def _idle(env: dict[str, str]) -> bool:
    done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "idle"
