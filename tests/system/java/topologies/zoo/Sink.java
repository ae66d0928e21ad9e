package zoo;

import java.util.Map;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichBolt;
import org.apache.storm.tuple.Tuple;

/** Writes down each first value. */
public class Sink extends BaseRichBolt {
  private transient OutputCollector collector;
  private transient Notes notes;

  @Override
  public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
    collector = out;
    notes = new Notes(conf, context);
  }

  @Override
  public void execute(Tuple input) {
    notes.write(String.valueOf(input.getValue(0)));
    collector.ack(input);
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {}
}
