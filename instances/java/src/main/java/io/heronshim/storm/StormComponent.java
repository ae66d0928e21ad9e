package io.heronshim.storm;

import io.heronshim.instance.TaskContext;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.storm.hooks.ITaskHook;
import org.apache.storm.hooks.info.EmitInfo;
import org.apache.storm.task.TopologyContext;

/** What spouts and bolts of Storm's API share: context, hooks and metrics. */
abstract class StormComponent {
  final StormContexts contexts;
  final TaskContext task;

  /** Whether open or prepare returned: Storm's context refuses registrations then. */
  final AtomicBoolean opened = new AtomicBoolean();

  final TopologyContext context;

  StormComponent(StormContexts contexts, TaskContext task) {
    this.contexts = contexts;
    this.task = task;
    this.context = contexts.make(task, false, opened);
  }

  final boolean hasHooks() {
    return !context.getHooks().isEmpty();
  }

  final void tellHooks(String stream, List<Object> values, List<Integer> tasks) {
    if (hasHooks()) {
      new EmitInfo(values, stream, task.task(), tasks).applyOn(context);
    }
  }

  final void cleanUpHooks() {
    context.getHooks().forEach(ITaskHook::cleanup);
  }

  /** The author's own counters by name: totals since the start. */
  public Map<String, Double> counters() {
    return contexts.counters(task.task());
  }

  /** The author's own gauges by name. */
  public Map<String, Double> gauges() {
    return contexts.gauges(task.task());
  }
}
