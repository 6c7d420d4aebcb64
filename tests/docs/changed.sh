#!/usr/bin/env bash
# A VM that is there, and a change of it that is not made yet.
cat >phoenix_vm_configs.json <<'END'
{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "memory_mb": 2048 }] }
END
phoenix apply --auto-approve
sed -i 's/2048/4096/' phoenix_vm_configs.json
