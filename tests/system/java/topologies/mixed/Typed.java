package mixed;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichSpout;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Values;

/** Emits one value of each class, once, and one that no other language reads. */
public class Typed extends BaseRichSpout {
  private transient SpoutOutputCollector collector;
  private transient Seen seen;
  private transient boolean done;

  static List<Object> values() {
    Map<Object, Object> map = new HashMap<>();
    map.put("n", 1L);
    map.put("list", new ArrayList<>(Arrays.asList("x", 2.5)));
    return new ArrayList<>(
        Arrays.asList(
            null, true, 7, -7L, 1L << 40, 1.5f, -0.25, "h\u00e9ron \ud83d\udc26",
            new byte[] {0, -1}, new ArrayList<>(Arrays.asList(1, "a", null)), map));
  }

  @Override
  public void open(Map<String, Object> conf, TopologyContext context, SpoutOutputCollector out) {
    collector = out;
    seen = new Seen(conf, context);
  }

  @Override
  public void nextTuple() {
    if (!done) {
      done = true;
      for (Object value : values()) {
        collector.emit(new Values(value), "good");
      }
      collector.emit("own", new Values(new LinkedList<>(List.of(1, 2L))), "own");
      collector.emit("own", new Values(new Point(3, 4)), "own");
      collector.emit("bad", new Values("ok", new Point(1, 2)), "bad");
    }
  }

  @Override
  public void ack(Object id) {
    seen.write("acked " + id);
  }

  @Override
  public void fail(Object id) {
    seen.write("failed " + id);
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {
    declarer.declare(new Fields("value"));
    declarer.declareStream("own", new Fields("value"));
    declarer.declareStream("bad", new Fields("first", "point"));
  }
}
