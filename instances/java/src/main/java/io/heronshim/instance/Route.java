package io.heronshim.instance;

import io.heronshim.wire.v1.GroupingKind;
import io.heronshim.wire.v1.OutputStream;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.LongAdder;

/** One stream of one emitting task: where its tuples go. */
final class Route {
  final String stream;
  final List<String> fields;
  final boolean direct;

  /** Tasks that subscribe with direct grouping. */
  final Set<Integer> directTasks;

  /** Emits since the start. */
  final LongAdder emitCount = new LongAdder();

  private final List<Chooser> choosers;
  private long reported;

  /** `choosers`: the rules of its consumers, in the order of their ids. */
  Route(OutputStream output, Set<Integer> directTasks, List<Chooser> choosers) {
    this.stream = output.getId();
    this.fields = List.copyOf(output.getFieldsList());
    this.direct = output.getDirect();
    this.directTasks = directTasks;
    this.choosers = choosers;
  }

  /** The routes of one task by stream. */
  static Map<String, Route> make(
      Plan plan, int task, ComponentHost host, SplittableRandom random) {
    String component = plan.componentOf().get(task);
    Map<String, Route> routes = new LinkedHashMap<>();
    for (OutputStream output : plan.component(component).getOutputsList()) {
      Set<Integer> direct = new HashSet<>();
      List<Chooser> choosers = new ArrayList<>();
      for (Plan.Consumer consumer : plan.consumers(component, output.getId())) {
        List<Integer> targets = plan.tasksOf().get(consumer.component().getId());
        GroupingKind kind = consumer.input().getGrouping().getKind();
        if (targets.isEmpty()) {
          continue;
        }
        if (kind == GroupingKind.GROUPING_KIND_DIRECT) {
          direct.addAll(targets);
        } else if (kind == GroupingKind.GROUPING_KIND_CUSTOM) {
          choosers.add(host.grouping(plan, task, consumer, targets));
        } else {
          choosers.add(
              Groupings.make(
                  consumer.input().getGrouping(),
                  output.getFieldsList(),
                  targets,
                  plan.neighbours(task),
                  plan.isStorms(),
                  random));
        }
      }
      routes.put(output.getId(), new Route(output, direct, choosers));
    }
    return routes;
  }

  /** Tasks of all consumers, in the order of their ids. */
  List<Integer> choose(List<Object> values) {
    if (choosers.size() == 1) {
      return choosers.get(0).choose(values);
    }
    List<Integer> all = new ArrayList<>();
    for (Chooser chooser : choosers) {
      all.addAll(chooser.choose(values));
    }
    return all;
  }

  /** Emits since the last call. */
  long takeEmitCount() {
    long total = emitCount.sum();
    long count = total - reported;
    reported = total;
    return count;
  }
}
