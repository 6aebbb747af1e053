"""The parts of methods: base classes, training in phases, filters, schedules, memories."""
