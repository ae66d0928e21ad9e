package io.heronshim.storm;

import io.heronshim.codec.RowReader;
import io.heronshim.instance.Plan;
import io.heronshim.wire.v1.Component;
import io.heronshim.wire.v1.ComponentKind;
import io.heronshim.wire.v1.InputStream;
import io.heronshim.wire.v1.OutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.storm.generated.Bolt;
import org.apache.storm.generated.ComponentCommon;
import org.apache.storm.generated.ComponentObject;
import org.apache.storm.generated.GlobalStreamId;
import org.apache.storm.generated.Grouping;
import org.apache.storm.generated.JavaObject;
import org.apache.storm.generated.NullStruct;
import org.apache.storm.generated.SpoutSpec;
import org.apache.storm.generated.StateSpoutSpec;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.generated.StreamInfo;
import org.apache.storm.utils.Utils;

/**
 * A topology and its configuration, as Storm's classes know them.
 *
 * <p>A package from Storm holds `stormcode.ser` (the StormTopology as Thrift writes it, gzipped or
 * not) and `stormconf.json`. Where there is none the topology is heronshim's own, and what Storm's
 * classes ask is made from the plan: a component's object is then a class name, and its arguments
 * are those of no constructor.
 */
final class StormTopologyFiles {
  private static final String CODE = "stormcode.ser";
  private static final String CONF = "stormconf.json";

  private final StormTopology topology;
  private final Map<String, Object> conf;
  private final Map<String, Map<String, Object>> ownConf;

  private StormTopologyFiles(
      StormTopology topology,
      Map<String, Object> conf,
      Map<String, Map<String, Object>> ownConf) {
    this.topology = topology;
    this.conf = conf;
    this.ownConf = ownConf;
  }

  /** Reads a package; throws IllegalStateException when it cannot be read, naming the file. */
  static StormTopologyFiles read(Plan plan, String topologyId, Path packageDir) {
    Map<String, Object> conf = new HashMap<>(Utils.readDefaultConfig());
    Map<String, Map<String, Object>> ownConf = new HashMap<>();
    StormTopology topology;
    if (Files.isRegularFile(packageDir.resolve(CODE))) {
      topology = topology(bytes(packageDir.resolve(CODE)));
      conf.putAll(json(bytes(packageDir.resolve(CONF))));
    } else {
      topology = made(plan);
      conf.putAll(RowReader.map(plan.wire().getTopology().getUserConfig().toByteArray()));
      plan.components()
          .forEach(
              component ->
                  ownConf.put(
                      component.getId(), RowReader.map(component.getUserConfig().toByteArray())));
    }
    conf.put("storm.id", topologyId);
    conf.putIfAbsent("topology.name", plan.wire().getTopology().getName());
    return new StormTopologyFiles(topology, conf, ownConf);
  }

  StormTopology topology() {
    return topology;
  }

  /** Of the whole topology, on Storm's defaults. */
  Map<String, Object> conf() {
    return conf;
  }

  /** The user's configuration of a component of heronshim's own; Storm's stand in the topology. */
  Map<String, Object> ownConf(String component) {
    return ownConf.getOrDefault(component, Map.of());
  }

  /** A JSON object, numbers in the classes that this version of Storm gives them. */
  static Map<String, Object> json(byte[] text) {
    return Utils.fromCompressedJsonConf(Utils.gzip(text));
  }

  private static byte[] bytes(Path path) {
    try {
      return Files.readAllBytes(path);
    } catch (IOException error) {
      throw new UncheckedIOException(path + " cannot be read", error);
    }
  }

  private static StormTopology topology(byte[] bytes) {
    boolean gzipped = bytes.length > 2 && bytes[0] == 0x1f && bytes[1] == (byte) 0x8b;
    return Utils.thriftDeserialize(
        StormTopology.class, gzipped ? Utils.gunzip(bytes) : bytes);
  }

  private static StormTopology made(Plan plan) {
    Map<String, SpoutSpec> spouts = new HashMap<>();
    Map<String, Bolt> bolts = new HashMap<>();
    for (Component component : plan.components()) {
      ComponentObject object =
          ComponentObject.java_object(new JavaObject(component.getObject(), List.of()));
      ComponentCommon common = common(component);
      if (component.getKind() == ComponentKind.COMPONENT_KIND_SPOUT) {
        spouts.put(component.getId(), new SpoutSpec(object, common));
      } else {
        bolts.put(component.getId(), new Bolt(object, common));
      }
    }
    return new StormTopology(spouts, bolts, new HashMap<String, StateSpoutSpec>());
  }

  private static ComponentCommon common(Component component) {
    Map<GlobalStreamId, Grouping> inputs = new HashMap<>();
    for (InputStream input : component.getInputsList()) {
      inputs.put(new GlobalStreamId(input.getComponent(), input.getStream()), grouping(input));
    }
    Map<String, StreamInfo> streams = new HashMap<>();
    for (OutputStream output : component.getOutputsList()) {
      streams.put(output.getId(), new StreamInfo(output.getFieldsList(), output.getDirect()));
    }
    ComponentCommon common = new ComponentCommon(inputs, streams);
    common.set_parallelism_hint(component.getParallelism());
    common.set_json_conf("{\"topology.tasks\": " + component.getTasks() + "}");
    return common;
  }

  private static Grouping grouping(InputStream input) {
    io.heronshim.wire.v1.Grouping grouping = input.getGrouping();
    switch (grouping.getKind()) {
      case GROUPING_KIND_FIELDS, GROUPING_KIND_PARTIAL_KEY:
        return Grouping.fields(grouping.getFieldsList());
      case GROUPING_KIND_GLOBAL:
        return Grouping.fields(List.of());
      case GROUPING_KIND_ALL:
        return Grouping.all(new NullStruct());
      case GROUPING_KIND_NONE:
        return Grouping.none(new NullStruct());
      case GROUPING_KIND_DIRECT:
        return Grouping.direct(new NullStruct());
      case GROUPING_KIND_LOCAL_OR_SHUFFLE:
        return Grouping.local_or_shuffle(new NullStruct());
      case GROUPING_KIND_CUSTOM:
        return Grouping.custom_object(new JavaObject(grouping.getObject(), List.of()));
      default:
        return Grouping.shuffle(new NullStruct());
    }
  }
}
