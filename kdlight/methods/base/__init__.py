"""What methods are built from: bases, phases, filters, schedules, memories."""
