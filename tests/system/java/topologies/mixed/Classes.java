package mixed;

import java.util.Map;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichBolt;
import org.apache.storm.tuple.Tuple;

/** Writes down each value with its class. */
public class Classes extends BaseRichBolt {
  private transient OutputCollector collector;
  private transient Seen seen;

  @Override
  public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
    collector = out;
    seen = new Seen(conf, context);
  }

  @Override
  public void execute(Tuple input) {
    seen.write(Seen.text(input.getValue(0)));
    collector.ack(input);
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {}
}
