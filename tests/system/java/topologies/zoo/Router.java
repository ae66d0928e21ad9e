package zoo;

import java.util.List;
import java.util.Map;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichBolt;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Tuple;
import org.apache.storm.tuple.Values;

/** Sends each number to the last task of "direct", by its id. */
public class Router extends BaseRichBolt {
  private transient OutputCollector collector;
  private transient int target;

  @Override
  public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
    collector = out;
    List<Integer> tasks = context.getComponentTasks("direct");
    target = tasks.get(tasks.size() - 1);
  }

  @Override
  public void execute(Tuple input) {
    collector.emitDirect(target, "routed", input, new Values(input.getInteger(0)));
    collector.ack(input);
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {
    declarer.declareStream("routed", true, new Fields("n"));
  }
}
