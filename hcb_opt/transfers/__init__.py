"""Values that leave the device and come back: what copies cost, how schedules with them are judged, and a planner."""
