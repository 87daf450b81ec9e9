// Validates the operator's objects, such as ServiceMonitor and ScrapeConfig, against the operator's own schemas. Reads a JSON list of objects from stdin.
import fs from "node:fs";
import * as v1 from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import * as v1alpha1 from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1";

const versions = { "monitoring.coreos.com/v1": v1, "monitoring.coreos.com/v1alpha1": v1alpha1 };

const problems = [];
for (const object of JSON.parse(fs.readFileSync(0, "utf8"))) {
  try {
    new versions[object.apiVersion][object.kind](object).validate();
  } catch (error) {
    problems.push(`${object.kind}: ${error.message}`);
  }
}
process.stdout.write(JSON.stringify(problems));
