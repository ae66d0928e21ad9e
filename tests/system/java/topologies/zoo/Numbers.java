package zoo;

import java.util.Map;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichSpout;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Values;

/** Emits numbers and writes down which were acked. */
public class Numbers extends BaseRichSpout {
  public static final int COUNT = 60;
  private transient SpoutOutputCollector collector;
  private transient Notes notes;
  private transient int next;

  @Override
  public void open(Map<String, Object> conf, TopologyContext context, SpoutOutputCollector out) {
    collector = out;
    notes = new Notes(conf, context);
    context.registerCounter("opened").inc();
  }

  @Override
  public void nextTuple() {
    if (next < COUNT) {
      collector.emit(new Values(next, "k" + next % 5), next);
      next++;
    }
  }

  @Override
  public void ack(Object id) {
    notes.write("acked " + id);
  }

  @Override
  public void fail(Object id) {
    notes.write("failed " + id);
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {
    declarer.declare(new Fields("n", "key"));
  }
}
