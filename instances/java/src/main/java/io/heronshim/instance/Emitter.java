package io.heronshim.instance;

import io.heronshim.codec.UnwritableValueException;
import io.heronshim.stream.AckTracker;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;

/** What the collectors of spouts and bolts share: the routes of one task and its batches. */
final class Emitter {
  private final InstanceRuntime runtime;
  private final TaskContext context;
  private final Map<String, Route> routes;
  private final Map<Integer, OpenBatch> batches = new ConcurrentHashMap<>();
  private final SplittableRandom random;

  Emitter(
      InstanceRuntime runtime,
      TaskContext context,
      Map<String, Route> routes,
      SplittableRandom random) {
    this.runtime = runtime;
    this.context = context;
    this.routes = routes;
    this.random = random;
  }

  Collection<Route> routes() {
    return routes.values();
  }

  /** A fresh edge; an author's threads may draw at the same time. */
  long drawEdge() {
    synchronized (random) {
      return AckTracker.drawEdge(random);
    }
  }

  /** Pairs of one copy, see {@link Pairs#drawn}. */
  Pairs drawPairs(Collection<? extends Anchor> anchors) {
    if (anchors.isEmpty()) {
      return Pairs.NONE;
    }
    synchronized (random) {
      return Pairs.drawn(anchors, () -> AckTracker.drawEdge(random));
    }
  }

  /** The route of a stream; throws IllegalArgumentException, with Storm's words. */
  Route route(String stream, boolean direct) {
    Route route = routes.get(stream);
    if (route == null) {
      throw new IllegalArgumentException(
          "Unknown stream ID: " + stream + "; \"" + context.component() + "\" declares: "
              + String.join(", ", routes.keySet()));
    }
    if (route.direct != direct) {
      throw new IllegalArgumentException(
          direct
              ? "Cannot emitDirect to stream \"" + stream + "\": it is not declared direct"
              : "Cannot do regular emit to direct stream \"" + stream + "\"");
    }
    return route;
  }

  /** The tasks of a direct emit: the one named, if it subscribed. */
  List<Integer> directTasks(Route route, int task) {
    return route.directTasks.contains(task) ? List.of(task) : List.of();
  }

  /**
   * Appends a row for one task.
   *
   * @throws UnwritableValueException naming component, stream and field; nothing was appended
   */
  void append(Route route, int task, List<Object> values, Object id, Pairs pairs)
      throws UnwritableValueException {
    OpenBatch batch = batches.get(task);
    if (batch == null) {
      batch =
          batches.computeIfAbsent(
              task,
              target ->
                  runtime.openBatch(context.plan(), context.component(), context.task(), target));
    }
    try {
      batch.append(route, values, id, pairs);
    } catch (UnwritableValueException error) {
      throw new UnwritableValueException(
          "component \"" + context.component() + "\", stream \"" + route.stream + "\", "
              + error.getMessage());
    }
    runtime.onRow();
  }
}
