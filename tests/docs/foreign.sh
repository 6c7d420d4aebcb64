#!/usr/bin/env bash
# Two VMs that phoenix does not know.
cat >phoenix_vm_configs.json <<'END'
{ "virtual_machines": [{ "vm_id": 104, "vm_name": "mail" }, { "vm_id": 105, "vm_name": "wiki" }] }
END
phoenix apply --auto-approve
phoenix forget 104 105 --auto-approve
echo '{ "virtual_machines": [] }' >phoenix_vm_configs.json
