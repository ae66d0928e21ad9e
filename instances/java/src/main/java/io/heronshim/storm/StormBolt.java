package io.heronshim.storm;

import io.heronshim.instance.Anchor;
import io.heronshim.instance.BoltCollector;
import io.heronshim.instance.BoltComponent;
import io.heronshim.instance.InputTuple;
import io.heronshim.instance.TaskContext;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.storm.hooks.info.BoltAckInfo;
import org.apache.storm.hooks.info.BoltExecuteInfo;
import org.apache.storm.hooks.info.BoltFailInfo;
import org.apache.storm.task.IBolt;
import org.apache.storm.task.IOutputCollector;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.tuple.Tuple;

/** A bolt of Storm's API. */
final class StormBolt extends StormComponent implements BoltComponent {
  private static final long NS_PER_MS = 1_000_000;
  private final IBolt bolt;
  private final TopologyContext systemContext;

  StormBolt(IBolt bolt, StormContexts contexts, TaskContext task) {
    super(contexts, task);
    this.bolt = bolt;
    this.systemContext = contexts.make(task, true, opened);
  }

  @Override
  public void prepare(BoltCollector collector) {
    contexts.addHooks(context);
    bolt.prepare(
        contexts.componentConf(task.component()),
        context,
        new OutputCollector(new Collector(collector)));
    opened.set(true);
  }

  @Override
  public void execute(InputTuple input) {
    Tuple tuple = new StormTuple(systemContext, input);
    if (!hasHooks()) {
      bolt.execute(tuple);
      return;
    }
    long begunNs = System.nanoTime();
    bolt.execute(tuple);
    long tookMs = (System.nanoTime() - begunNs) / NS_PER_MS;
    new BoltExecuteInfo(tuple, task.task(), tookMs).applyOn(context);
  }

  @Override
  public void cleanup() {
    bolt.cleanup();
    cleanUpHooks();
  }

  /** What the author's collector calls, from any thread. */
  private final class Collector implements IOutputCollector {
    private final BoltCollector collector;

    Collector(BoltCollector collector) {
      this.collector = collector;
    }

    @Override
    public List<Integer> emit(String stream, Collection<Tuple> anchors, List<Object> values) {
      List<Integer> tasks = collector.emit(stream, anchors(anchors), values);
      tellHooks(stream, values, tasks);
      return tasks;
    }

    @Override
    public void emitDirect(
        int target, String stream, Collection<Tuple> anchors, List<Object> values) {
      collector.emitDirect(target, stream, anchors(anchors), values);
      tellHooks(stream, values, List.of(target));
    }

    private Collection<Anchor> anchors(Collection<Tuple> tuples) {
      if (tuples == null || tuples.isEmpty()) {
        return List.of();
      }
      List<Anchor> anchors = new ArrayList<>(tuples.size());
      for (Tuple tuple : tuples) {
        anchors.add(StormTuple.anchor(tuple));
      }
      return anchors;
    }

    @Override
    public void ack(Tuple tuple) {
      StormTuple.ack(tuple, collector);
      if (hasHooks()) {
        new BoltAckInfo(tuple, task.task(), null).applyOn(context);
      }
    }

    @Override
    public void fail(Tuple tuple) {
      tuple.getMessageId().getAnchors().forEach(collector::fail);
      collector.countFail();
      if (hasHooks()) {
        new BoltFailInfo(tuple, task.task(), null).applyOn(context);
      }
    }

    @Override
    public void resetTimeout(Tuple tuple) {
      tuple.getMessageId().getAnchors().forEach(collector::resetTimeout);
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
