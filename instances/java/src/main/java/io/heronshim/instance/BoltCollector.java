package io.heronshim.instance;

import io.heronshim.codec.UnwritableValueException;
import java.util.Collection;
import java.util.List;

/** What an author's bolt emits, acks and fails with. Any thread may call it, as in Storm. */
public final class BoltCollector {
  private final BoltTask task;
  private final Emitter emitter;

  BoltCollector(BoltTask task, Emitter emitter) {
    this.task = task;
    this.emitter = emitter;
  }

  /** Emits to the tasks that the stream's consumers choose; returns these. */
  public List<Integer> emit(
      String stream, Collection<? extends Anchor> anchors, List<Object> values) {
    Route route = emitter.route(stream, false);
    return send(route, route.choose(values), anchors, values);
  }

  /** Emits to one task, if it subscribed with direct grouping. */
  public void emitDirect(
      int target, String stream, Collection<? extends Anchor> anchors, List<Object> values) {
    Route route = emitter.route(stream, true);
    send(route, emitter.directTasks(route, target), anchors, values);
  }

  /** Acks one tree of a tuple: `xor` is its edge and those of its children. */
  public void ack(long root, long xor) {
    task.outcomes().ack(root, xor);
    task.onOutcome();
  }

  /** Fails one tree of a tuple. */
  public void fail(long root) {
    task.outcomes().fail(root);
    task.onOutcome();
  }

  /** Gives one tree of a tuple its timeout again. */
  public void resetTimeout(long root) {
    task.outcomes().resetTimeout(root);
    task.onOutcome();
  }

  /** Counts a tuple that was acked. */
  public void countAck() {
    task.countAck();
  }

  /** Counts a tuple that was failed. */
  public void countFail() {
    task.countFail();
  }

  /** Reports an error without failing anything. */
  public void reportError(Throwable error) {
    task.report(error);
  }

  private List<Integer> send(
      Route route,
      List<Integer> tasks,
      Collection<? extends Anchor> anchors,
      List<Object> values) {
    route.emitCount.increment();
    for (int target : tasks) {
      Pairs pairs = emitter.drawPairs(task.anchors(anchors));
      try {
        emitter.append(route, target, values, null, pairs);
      } catch (UnwritableValueException error) {
        task.report(error);
        for (int index = 0; index < pairs.size(); index++) {
          fail(pairs.root(index));
        }
      }
    }
    return tasks;
  }
}
