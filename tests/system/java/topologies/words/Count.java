package words;

import java.util.Map;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichBolt;
import org.apache.storm.tuple.Tuple;
import org.apache.storm.utils.TupleUtils;

/** Counts words, and ticks. */
public class Count extends BaseRichBolt {
  private transient OutputCollector collector;
  private transient Records records;

  @Override
  public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
    collector = out;
    records = new Records(conf, context);
  }

  @Override
  public void execute(Tuple input) {
    if (TupleUtils.isTick(input)) {
      records.count("tick");
      records.write();
    } else {
      records.count(input.getStringByField("word"));
      records.writeSometimes();
    }
    collector.ack(input);
  }

  @Override
  public void cleanup() {
    records.count("cleanup");
    records.write();
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {}
}
