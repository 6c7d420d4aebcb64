"""Evaluates the rules for a plan: `evaluate.py RULES PLAN DAY`; prints what they deny and warn of, as JSON."""

import json
import sys

import regopy

rules, plan, day = sys.argv[1:]
interpreter = regopy.Interpreter()
with open(rules, encoding="utf-8") as file:
    interpreter.add_module(rules, file.read())
with open(plan, encoding="utf-8") as file:
    interpreter.set_input(json.load(file))
interpreter.add_data({"today": day})
said = {}
for name in ("deny", "warn"):
    answer = json.loads(str(interpreter.query(f"data.main.{name}")))
    said[name] = sorted(answer["expressions"][0])
print(json.dumps(said))
