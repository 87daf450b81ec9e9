// Validates ServiceMonitor and PrometheusRule objects against the operator's own schemas. Reads a JSON list of objects from stdin.
import fs from "node:fs";
import * as operator from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const problems = [];
for (const object of JSON.parse(fs.readFileSync(0, "utf8"))) {
  try {
    new operator[object.kind](object).validate();
  } catch (error) {
    problems.push(`${object.kind}: ${error.message}`);
  }
}
process.stdout.write(JSON.stringify(problems));
