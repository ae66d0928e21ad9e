package features;

import java.util.Map;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichSpout;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Values;

/** Emits the numbers from 0, with a time of as many milliseconds. */
public final class Numbers extends BaseRichSpout {
  private final int count;
  private int next;
  private SpoutOutputCollector collector;

  Numbers(int count) {
    this.count = count;
  }

  @Override
  public void open(Map<String, Object> conf, TopologyContext context, SpoutOutputCollector out) {
    collector = out;
  }

  @Override
  public void nextTuple() {
    if (next < count) {
      collector.emit(new Values(next, (long) next), next);
      next++;
    }
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {
    declarer.declare(new Fields("number", "time"));
  }
}
