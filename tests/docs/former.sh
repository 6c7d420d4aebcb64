#!/usr/bin/env bash
# A config of the former shell system.
cat >old.json <<'END'
{ "vms": [{ "vmid": 104, "name": "mail", "cores": 2, "memory_mb": 4096, "template_name": "ubuntu-22.04-cloud-template-v3" }] }
END
