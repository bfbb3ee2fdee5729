"""Learning-rate schedules, by name: pure functions of the step."""

from planetvision.schedules.registry import (
    SCHEDULES,
    Schedule,
    SchedulerSpec,
    list_schedulers,
    register_scheduler,
)

__all__ = ["SCHEDULES", "Schedule", "SchedulerSpec", "list_schedulers", "register_scheduler"]
