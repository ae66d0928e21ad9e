package io.heronshim.storm;

import io.heronshim.instance.SpoutCollector;
import io.heronshim.instance.SpoutComponent;
import io.heronshim.instance.TaskContext;
import java.util.List;
import org.apache.storm.hooks.info.SpoutAckInfo;
import org.apache.storm.hooks.info.SpoutFailInfo;
import org.apache.storm.spout.ISpout;
import org.apache.storm.spout.ISpoutOutputCollector;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;

/** A spout of Storm's API. */
final class StormSpout extends StormComponent implements SpoutComponent {
  private final ISpout spout;

  StormSpout(ISpout spout, StormContexts contexts, TaskContext task) {
    super(contexts, task);
    this.spout = spout;
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
    if (hasHooks()) {
      new SpoutAckInfo(id, task.task(), (long) openMs).applyOn(context);
    }
  }

  @Override
  public void fail(Object id) {
    spout.fail(id);
    if (hasHooks()) {
      new SpoutFailInfo(id, task.task(), null).applyOn(context);
    }
  }

  @Override
  public void close() {
    spout.close();
    cleanUpHooks();
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
