package zoo;

import java.util.Map;
import org.apache.storm.task.ShellBolt;
import org.apache.storm.topology.IRichBolt;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.tuple.Fields;

/** A bolt in another program, as an author wraps it. */
public class Shouter extends ShellBolt implements IRichBolt {
  public Shouter() {
    super("python3", "shouter.py");
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {
    declarer.declare(new Fields("text"));
  }

  @Override
  public Map<String, Object> getComponentConfiguration() {
    return null;
  }
}
