import { Migration202611210001_platform } from './Migration202611210001_platform.ts';
import { Migration202611210002_auth } from './Migration202611210002_auth.ts';
import { Migration202611210003_registry } from './Migration202611210003_registry.ts';
import { Migration202611210004_projects } from './Migration202611210004_projects.ts';
import { Migration202611210005_runtime } from './Migration202611210005_runtime.ts';
import { Migration202611210006_quality } from './Migration202611210006_quality.ts';
import { Migration202611210007_integration } from './Migration202611210007_integration.ts';
import { Migration202611210008_events } from './Migration202611210008_events.ts';
import { Migration202611210009_people } from './Migration202611210009_people.ts';
import { Migration202611210010_installation } from './Migration202611210010_installation.ts';
import { Migration202611210011_gate_policy } from './Migration202611210011_gate_policy.ts';
import { Migration202611210012_eventlog } from './Migration202611210012_eventlog.ts';
import { Migration202611270001_landing_queue } from './Migration202611270001_landing_queue.ts';
import { Migration202611280001_runtime_lanes } from './Migration202611280001_runtime_lanes.ts';
import { Migration202611280002_supervised } from './Migration202611280002_supervised.ts';
import { Migration202611280003_instance_control } from './Migration202611280003_instance_control.ts';
import { Migration202611280004_task_terms } from './Migration202611280004_task_terms.ts';
import { Migration202611280005_task_trees } from './Migration202611280005_task_trees.ts';
import { Migration202611280006_dispatch_limits } from './Migration202611280006_dispatch_limits.ts';
import { Migration202611280007_reviews } from './Migration202611280007_reviews.ts';
import { Migration202611280008_task_routing } from './Migration202611280008_task_routing.ts';
import { Migration202611280009_sets } from './Migration202611280009_sets.ts';

/** Every migration, in the order in which they run. A new one goes to the end; one that was released never changes. */
export const migrations = [
  { name: 'Migration202611210001_platform', class: Migration202611210001_platform },
  { name: 'Migration202611210002_auth', class: Migration202611210002_auth },
  { name: 'Migration202611210003_registry', class: Migration202611210003_registry },
  { name: 'Migration202611210004_projects', class: Migration202611210004_projects },
  { name: 'Migration202611210005_runtime', class: Migration202611210005_runtime },
  { name: 'Migration202611210006_quality', class: Migration202611210006_quality },
  { name: 'Migration202611210007_integration', class: Migration202611210007_integration },
  { name: 'Migration202611210008_events', class: Migration202611210008_events },
  { name: 'Migration202611210009_people', class: Migration202611210009_people },
  { name: 'Migration202611210010_installation', class: Migration202611210010_installation },
  { name: 'Migration202611210011_gate_policy', class: Migration202611210011_gate_policy },
  { name: 'Migration202611210012_eventlog', class: Migration202611210012_eventlog },
  { name: 'Migration202611270001_landing_queue', class: Migration202611270001_landing_queue },
  { name: 'Migration202611280001_runtime_lanes', class: Migration202611280001_runtime_lanes },
  { name: 'Migration202611280002_supervised', class: Migration202611280002_supervised },
  { name: 'Migration202611280003_instance_control', class: Migration202611280003_instance_control },
  { name: 'Migration202611280004_task_terms', class: Migration202611280004_task_terms },
  { name: 'Migration202611280005_task_trees', class: Migration202611280005_task_trees },
  { name: 'Migration202611280006_dispatch_limits', class: Migration202611280006_dispatch_limits },
  { name: 'Migration202611280007_reviews', class: Migration202611280007_reviews },
  { name: 'Migration202611280008_task_routing', class: Migration202611280008_task_routing },
  { name: 'Migration202611280009_sets', class: Migration202611280009_sets },
];
