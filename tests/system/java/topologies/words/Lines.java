package words;

import java.util.HashMap;
import java.util.Map;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.base.BaseRichSpout;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Values;

/** Emits each of its share of LINES lines until it is acked. */
public class Lines extends BaseRichSpout {
  public static final String[] LINES = {
    "the crane stands in the shallow water",
    "a heron and a crane are not the same bird",
    "water runs over the stones",
    "the stones are grey and the bird is white",
  };

  private transient SpoutOutputCollector collector;
  private transient Map<Object, String> open;
  private transient Records records;
  private transient int next;
  private transient int step;
  private transient int last;

  @Override
  public void open(Map<String, Object> conf, TopologyContext context, SpoutOutputCollector out) {
    collector = out;
    open = new HashMap<>();
    records = new Records(conf, context);
    next = context.getThisTaskIndex();
    step = context.getComponentTasks(context.getThisComponentId()).size();
    last = ((Number) conf.get("words.lines")).intValue();
  }

  @Override
  public void activate() {
    records.count("activate");
  }

  @Override
  public void deactivate() {
    records.count("deactivate");
    records.write();
  }

  @Override
  public void nextTuple() {
    if (next < last) {
      String line = LINES[next % LINES.length];
      open.put(next, line);
      collector.emit(new Values(line), next);
      next += step;
    }
  }

  @Override
  public void ack(Object id) {
    if (open.remove(id) != null) {
      records.count("acked");
      records.write();
    }
  }

  @Override
  public void fail(Object id) {
    records.count("failed");
    String line = open.get(id);
    if (line != null) {
      collector.emit(new Values(line), id);
    }
  }

  @Override
  public void close() {
    records.count("closed");
    records.write();
  }

  @Override
  public void declareOutputFields(OutputFieldsDeclarer declarer) {
    declarer.declare(new Fields("line"));
  }
}
