package io.heronshim.storm;

import io.heronshim.instance.SpoutCollector;
import io.heronshim.instance.SpoutComponent;
import io.heronshim.instance.TaskContext;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.storm.hooks.info.EmitInfo;
import org.apache.storm.hooks.info.SpoutAckInfo;
import org.apache.storm.hooks.info.SpoutFailInfo;
import org.apache.storm.spout.ISpout;
import org.apache.storm.spout.ISpoutOutputCollector;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;

/** A spout of Storm's API. */
final class StormSpout implements SpoutComponent {
  private final ISpout spout;
  private final StormContexts contexts;
  private final TaskContext task;
  private final AtomicBoolean opened = new AtomicBoolean();
  private final TopologyContext context;

  StormSpout(ISpout spout, StormContexts contexts, TaskContext task) {
    this.spout = spout;
    this.contexts = contexts;
    this.task = task;
    this.context = contexts.make(task, false, opened);
  }

  @Override
  public void open(SpoutCollector collector) {
    contexts.addHooks(context);
    spout.open(
        contexts.componentConf(task.component()),
        context,
        new SpoutOutputCollector(new Collector(collector)));
    opened.set(true);
  }

  @Override
  public void activate() {
    spout.activate();
  }

  @Override
  public void deactivate() {
    spout.deactivate();
  }

  @Override
  public void nextTuple() {
    spout.nextTuple();
  }

  @Override
  public void ack(Object id, double openMs) {
    spout.ack(id);
    if (!context.getHooks().isEmpty()) {
      new SpoutAckInfo(id, task.task(), (long) openMs).applyOn(context);
    }
  }

  @Override
  public void fail(Object id) {
    spout.fail(id);
    if (!context.getHooks().isEmpty()) {
      new SpoutFailInfo(id, task.task(), null).applyOn(context);
    }
  }

  @Override
  public void close() {
    spout.close();
    context.getHooks().forEach(hook -> hook.cleanup());
  }

  @Override
  public Map<String, Double> counters() {
    return contexts.counters(task.task());
  }

  @Override
  public Map<String, Double> gauges() {
    return contexts.gauges(task.task());
  }

  /** What the author's collector calls. */
  private final class Collector implements ISpoutOutputCollector {
    private final SpoutCollector collector;

    Collector(SpoutCollector collector) {
      this.collector = collector;
    }

    @Override
    public List<Integer> emit(String stream, List<Object> values, Object id) {
      List<Integer> tasks = collector.emit(stream, values, id);
      tellHooks(stream, values, tasks);
      return tasks;
    }

    @Override
    public void emitDirect(int target, String stream, List<Object> values, Object id) {
      collector.emitDirect(target, stream, values, id);
      tellHooks(stream, values, List.of(target));
    }

    private void tellHooks(String stream, List<Object> values, List<Integer> tasks) {
      if (!context.getHooks().isEmpty()) {
        new EmitInfo(values, stream, task.task(), tasks).applyOn(context);
      }
    }

    @Override
    public long getPendingCount() {
      return collector.pendingCount();
    }

    @Override
    public void flush() {
      // Rows leave on age and on idleness.
    }

    @Override
    public void reportError(Throwable error) {
      collector.reportError(error);
    }
  }
}
