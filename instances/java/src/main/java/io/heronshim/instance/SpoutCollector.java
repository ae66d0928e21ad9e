package io.heronshim.instance;

import io.heronshim.codec.UnwritableValueException;
import java.util.List;

/** What an author's spout emits with. Called by its executor's thread only, as in Storm. */
public final class SpoutCollector {
  private final SpoutTask task;
  private final Emitter emitter;

  SpoutCollector(SpoutTask task, Emitter emitter) {
    this.task = task;
    this.emitter = emitter;
  }

  /** Emits to the tasks that the stream's consumers choose; returns these. `id` may be null. */
  public List<Integer> emit(String stream, List<Object> values, Object id) {
    Route route = emitter.route(stream, false);
    return send(route, route.choose(values), values, id);
  }

  /** Emits to one task, if it subscribed with direct grouping. */
  public void emitDirect(int target, String stream, List<Object> values, Object id) {
    Route route = emitter.route(stream, true);
    send(route, emitter.directTasks(route, target), values, id);
  }

  /** Reports an error without failing anything. */
  public void reportError(Throwable error) {
    task.report(error);
  }

  /** Open trees, and tuples whose trees are not open yet. */
  public long pendingCount() {
    return task.pending();
  }

  private List<Integer> send(Route route, List<Integer> tasks, List<Object> values, Object id) {
    route.emitCount.increment();
    task.countEmit();
    Object treeId = task.treeId(id);
    if (tasks.isEmpty()) {
      if (treeId != null) {
        task.onEmptyTree(treeId);
      }
    } else if (treeId != null && tasks.size() > 1) {
      sendCopies(route, tasks, values, treeId);
    } else {
      for (int target : tasks) {
        sendOne(route, target, values, treeId);
      }
    }
    if (id != null && !task.isTracked()) {
      task.onUntrackedId(id);
    }
    return tasks;
  }

  /** One copy: its tree opens when it leaves. */
  private void sendOne(Route route, int target, List<Object> values, Object treeId) {
    try {
      emitter.append(route, target, values, treeId, Pairs.NONE);
      task.onTrackedRow(treeId);
    } catch (UnwritableValueException error) {
      task.onUnwritable(error, treeId);
    }
  }

  /** Several copies: all edges are drawn, and the tree is open, before any leaves. */
  private void sendCopies(Route route, List<Integer> tasks, List<Object> values, Object treeId) {
    long[] edges = new long[tasks.size()];
    long value = 0;
    for (int index = 0; index < edges.length; index++) {
      edges[index] = emitter.drawEdge();
      value ^= edges[index];
    }
    long root = task.openTree(treeId, value);
    for (int index = 0; index < edges.length; index++) {
      try {
        emitter.append(route, tasks.get(index), values, null, Pairs.of(root, edges[index]));
      } catch (UnwritableValueException error) {
        task.onUnwritableCopy(error, root);
      }
    }
  }
}
