# Rules for plans of phoenix: what a team does not let pass.
#
#   phoenix plan --out plan.json
#   conftest test --policy docs/policy plan.json
#
# `input` is the saved plan; schema/plan.schema.json says what stands in it.

package main

import rego.v1

# The day of the week, by the clock; tests name one.
today := data.today

today := time.weekday(time.now_ns()) if not data.today

acting := [vm | some vm in input.vms; vm.outcome != "no-op"; not vm.blocked]

# One that is made anew (`--recreate`) loses its disks, too.
loses_disks(vm) if vm.outcome in {"destroy", "recreate"}

# Nothing is destroyed on a Friday.
deny contains message if {
	today == "Friday"
	some vm in acting
	loses_disks(vm)
	message := sprintf("VM %d `%s` would be destroyed on a Friday", [vm.vm, vm.name])
}

# Production is destroyed by hand only; a VM of it is known by its name.
deny contains message if {
	some vm in acting
	loses_disks(vm)
	startswith(vm.name, "prod-")
	message := sprintf("VM %d `%s` is production, and is destroyed by hand only", [vm.vm, vm.name])
}

# Restarts are agreed to by people: at most two in one plan.
deny contains message if {
	count([vm | some vm in acting; vm.restart == "now"]) > 2
	message := sprintf("%d VMs would restart; plan them in steps", [input.summary.restarts_now])
}

# A change that another process or an administrator made is looked at before it is undone.
warn contains message if {
	some vm in acting
	some change in vm.changes
	change.changed_by in {"outside", "both"}
	message := sprintf("VM %d `%s`: `%s` was changed outside phoenix", [vm.vm, vm.name, change.key])
}
