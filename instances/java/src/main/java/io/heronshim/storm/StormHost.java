package io.heronshim.storm;

import io.heronshim.codec.OpaqueValues;
import io.heronshim.instance.BoltComponent;
import io.heronshim.instance.Chooser;
import io.heronshim.instance.ComponentHost;
import io.heronshim.instance.Plan;
import io.heronshim.instance.SpoutComponent;
import io.heronshim.instance.TaskContext;
import java.nio.file.Path;
import java.util.List;
import org.apache.storm.Thrift;
import org.apache.storm.daemon.GrouperFactory;
import org.apache.storm.generated.ComponentObject;
import org.apache.storm.generated.GlobalStreamId;
import org.apache.storm.generated.Grouping;
import org.apache.storm.generated.JavaObject;
import org.apache.storm.generated.ShellComponent;
import org.apache.storm.grouping.LoadAwareCustomStreamGrouping;
import org.apache.storm.grouping.LoadMapping;
import org.apache.storm.spout.ISpout;
import org.apache.storm.spout.ShellSpout;
import org.apache.storm.task.IBolt;
import org.apache.storm.task.ShellBolt;
import org.apache.storm.task.WorkerTopologyContext;
import org.apache.storm.tuple.Fields;
import org.apache.storm.utils.Utils;

/** Runs components of Storm 2's API, unchanged, on the Storm client that is on the class path. */
public final class StormHost implements ComponentHost {
  private final StormTopologyFiles files;
  private final StormContexts contexts;
  private final OpaqueValues opaqueValues;

  /** Reads the topology's package. */
  public StormHost(Plan plan, String topologyId, Path packageDir) {
    files = StormTopologyFiles.read(plan, topologyId, packageDir);
    contexts = new StormContexts(plan, topologyId, packageDir, files);
    opaqueValues = new KryoValues(files.conf());
  }

  @Override
  public SpoutComponent spout(TaskContext context) {
    String id = context.component();
    Object object = object(id, files.topology().get_spouts().get(id).get_spout_object());
    if (object instanceof ShellComponent shell) {
      object = new ShellSpout(shell);
    }
    if (object instanceof ISpout spout) {
      return new StormSpout(spout, contexts, context);
    }
    throw wrongClass(id, object, "ISpout");
  }

  @Override
  public BoltComponent bolt(TaskContext context) {
    String id = context.component();
    Object object = object(id, files.topology().get_bolts().get(id).get_bolt_object());
    if (object instanceof ShellComponent shell) {
      object = new ShellBolt(shell);
    }
    if (object instanceof IBolt bolt) {
      return new StormBolt(bolt, contexts, context);
    }
    throw wrongClass(id, object, "IBolt");
  }

  private static Object object(String component, ComponentObject made) {
    try {
      Object object = Utils.getSetComponentObject(made);
      return object instanceof JavaObject named ? Thrift.instantiateJavaObject(named) : object;
    } catch (RuntimeException error) {
      throw new IllegalStateException(
          "component \"" + component + "\" cannot be made: " + error.getMessage()
              + "; is its class in the topology's jar?",
          error);
    }
  }

  private static IllegalStateException wrongClass(String component, Object object, String wanted) {
    return new IllegalStateException(
        "component \"" + component + "\" is a " + object.getClass().getName() + ", which is no "
            + wanted);
  }

  @Override
  public Chooser grouping(Plan plan, int task, Plan.Consumer consumer, List<Integer> targets) {
    String source = consumer.input().getComponent();
    String stream = consumer.input().getStream();
    Grouping grouping =
        Utils.getComponentCommon(files.topology(), consumer.component().getId())
            .get_inputs()
            .get(new GlobalStreamId(source, stream));
    WorkerTopologyContext context = contexts.forGrouping(plan, task);
    Fields fields = context.getComponentOutputFields(source, stream);
    LoadAwareCustomStreamGrouping grouper =
        GrouperFactory.mkGrouper(
            context, source, stream, fields, grouping, targets, files.conf());
    LoadMapping load = new LoadMapping();
    grouper.refreshLoad(load);
    return values -> grouper.chooseTasks(task, values);
  }

  @Override
  public OpaqueValues opaqueValues() {
    return opaqueValues;
  }
}
