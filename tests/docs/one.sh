#!/usr/bin/env bash
# Two VMs that are there.
cat >phoenix_vm_configs.json <<'END'
{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }, { "vm_id": 1001, "vm_name": "db" }] }
END
phoenix apply --auto-approve
