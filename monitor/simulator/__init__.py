"""A Studio on loopback: a real HTTP server that speaks the Studio API over projects of every kind.

It shares no code with the client it is served to, so that both agreeing means something. A `Studio` holds the state,
`serve` puts it on an address, `projects` has a constructor per kind, `scenarios` what changes over time, `faults` what
goes wrong, `edits` what pages may legally be beyond their documented form, `switches` all of these by name, and
`Studio.ground` the truth to compute every figure from::

    studio = Studio([projects.kmeans()])
    async with serve(studio) as url:
        ...
"""

from monitor.simulator.demo import demo_studio
from monitor.simulator.faults import Fault
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.ground import Ground
from monitor.simulator.project import FLOAT32, INT8, Impulse, Project, Variant
from monitor.simulator.recorded import RecordingError, load_recorded
from monitor.simulator.scenarios import Revision, Scenario
from monitor.simulator.server import serve
from monitor.simulator.studio import Request, Studio

__all__ = [
    "FLOAT32",
    "INT8",
    "Fault",
    "GeneratedProject",
    "Ground",
    "Impulse",
    "Project",
    "RecordingError",
    "Request",
    "Revision",
    "Scenario",
    "Studio",
    "Variant",
    "demo_studio",
    "load_recorded",
    "serve",
]
