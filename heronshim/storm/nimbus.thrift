// Storm's Nimbus service, as far as heronshim serves it: what goes over the wire when a Storm
// client submits and controls topologies. Binary protocol, each message in a frame of its own.
// Numbers and types are those of org.apache.storm.generated in storm-client 2.8.3 (a test compares
// them with that jar). Names of arguments and exceptions are free, they are not on the wire.
// heronshim reads this file itself, when the gateway starts: see interface.py.

// Refusals.
exception NotAliveException { 1: required string msg }
exception AlreadyAliveException { 1: required string msg }
exception InvalidTopologyException { 1: required string msg }
exception AuthorizationException { 1: required string msg }
exception KeyNotFoundException { 1: required string msg }
exception KeyAlreadyExistsException { 1: required string msg }
exception IllegalStateException { 1: required string msg }

// What is submitted. The bytes of serialized_java and custom_serialized are Java objects, which
// heronshim hands on unopened.
struct ShellComponent { 1: string execution_command, 2: string script }
union JavaObjectArg {
  1: i32 int_arg,
  2: i64 long_arg,
  3: string string_arg,
  4: bool bool_arg,
  5: binary binary_arg,
  6: double double_arg,
}
struct JavaObject { 1: required string full_class_name, 2: required list<JavaObjectArg> args_list }
union ComponentObject {
  1: binary serialized_java,
  2: ShellComponent shell,
  3: JavaObject java_object,
}
struct GlobalStreamId { 1: required string componentId, 2: required string streamId }
struct NullStruct {}
union Grouping {
  1: list<string> fields,
  2: NullStruct shuffle,
  3: NullStruct all,
  4: NullStruct none,
  5: NullStruct direct,
  6: JavaObject custom_object,
  7: binary custom_serialized,
  8: NullStruct local_or_shuffle,
}
struct StreamInfo { 1: required list<string> output_fields, 2: required bool direct }
struct ComponentCommon {
  1: required map<GlobalStreamId, Grouping> inputs,
  2: required map<string, StreamInfo> streams,
  3: optional i32 parallelism_hint,
  4: optional string json_conf,
}
struct SpoutSpec { 1: required ComponentObject spout_object, 2: required ComponentCommon common }
struct Bolt { 1: required ComponentObject bolt_object, 2: required ComponentCommon common }
struct StateSpoutSpec {
  1: required ComponentObject state_spout_object,
  2: required ComponentCommon common,
}
struct SharedMemory {
  1: required string name,
  2: optional double on_heap,
  3: optional double off_heap_worker,
  4: optional double off_heap_node,
}
struct StormTopology {
  1: required map<string, SpoutSpec> spouts,
  2: required map<string, Bolt> bolts,
  3: required map<string, StateSpoutSpec> state_spouts,
  4: optional list<binary> worker_hooks,
  5: optional list<string> dependency_jars,
  6: optional list<string> dependency_artifacts,
  7: optional string storm_version,
  8: optional string jdk_version,
  9: optional map<string, set<string>> component_to_shared_memory,
  10: optional map<string, SharedMemory> shared_memory,
}

// How a topology starts, ends and changes.
enum TopologyInitialStatus { ACTIVE = 1, INACTIVE = 2 }
struct Credentials { 1: required map<string, string> creds, 2: optional string topoOwner }
struct SubmitOptions {
  1: required TopologyInitialStatus initial_status,
  2: optional Credentials creds,
}
struct KillOptions { 1: optional i32 wait_secs }
struct RebalanceOptions {
  1: optional i32 wait_secs,
  2: optional i32 num_workers,
  3: optional map<string, i32> num_executors,
  4: optional map<string, map<string, double>> topology_resources_overrides,
  5: optional string topology_conf_overrides,
  6: optional string principal,
}

// Who answers, and on which hosts topologies run.
struct NimbusSummary {
  1: required string host,
  2: required i32 port,
  3: required i32 uptime_secs,
  4: required bool isLeader,
  5: required string version,
  6: optional i32 tlsPort,
}
struct SupervisorSummary {
  1: required string host,
  2: required i32 uptime_secs,
  3: required i32 num_workers,
  4: required i32 num_used_workers,
  5: required string supervisor_id,
  6: optional string version,
}
struct TopologySummary {
  1: required string id,
  2: required string name,
  3: required i32 num_tasks,
  4: required i32 num_executors,
  5: required i32 num_workers,
  6: required i32 uptime_secs,
  7: required string status,
  8: optional string storm_version,
  9: optional string topology_version,
  513: optional string sched_status,
  514: optional string owner,
  515: optional i32 replication_count,
}
// nimbus_uptime_secs is of clients before 2.0, which require it.
struct ClusterSummary {
  1: required list<SupervisorSummary> supervisors,
  2: optional i32 nimbus_uptime_secs,
  3: required list<TopologySummary> topologies,
  4: required list<NimbusSummary> nimbuses,
}

// What is known of one topology. Maps of counts: window, then stream or (component, stream).
struct ExecutorInfo { 1: required i32 task_start, 2: required i32 task_end }
struct BoltStats {
  1: required map<string, map<GlobalStreamId, i64>> acked,
  2: required map<string, map<GlobalStreamId, i64>> failed,
  3: required map<string, map<GlobalStreamId, double>> process_ms_avg,
  4: required map<string, map<GlobalStreamId, i64>> executed,
  5: required map<string, map<GlobalStreamId, double>> execute_ms_avg,
}
struct SpoutStats {
  1: required map<string, map<string, i64>> acked,
  2: required map<string, map<string, i64>> failed,
  3: required map<string, map<string, double>> complete_ms_avg,
}
union ExecutorSpecificStats { 1: BoltStats bolt, 2: SpoutStats spout }
struct ExecutorStats {
  1: required map<string, map<string, i64>> emitted,
  2: required map<string, map<string, i64>> transferred,
  3: required ExecutorSpecificStats specific,
  4: required double rate,
}
struct ExecutorSummary {
  1: required ExecutorInfo executor_info,
  2: required string component_id,
  3: required string host,
  4: required i32 port,
  5: required i32 uptime_secs,
  7: optional ExecutorStats stats,
}
struct ErrorInfo {
  1: required string error,
  2: required i32 error_time_secs,
  3: optional string host,
  4: optional i32 port,
}
struct DebugOptions { 1: optional bool enable, 2: optional double samplingpct }
struct TopologyInfo {
  1: required string id,
  2: required string name,
  3: required i32 uptime_secs,
  4: required list<ExecutorSummary> executors,
  5: required string status,
  6: required map<string, list<ErrorInfo>> errors,
  7: optional map<string, DebugOptions> component_debug,
  8: optional string storm_version,
  513: optional string sched_status,
  514: optional string owner,
  515: optional i32 replication_count,
}
enum NumErrorsChoice { ALL = 0, NONE = 1, ONE = 2 }
struct GetInfoOptions { 1: optional NumErrorsChoice num_err_choice }

// Blobs: there are none, which clients ask for before they submit.
struct ListBlobsResult { 1: required list<string> keys, 2: required string session }
enum AccessControlType { OTHER = 1, USER = 2 }
struct AccessControl {
  1: required AccessControlType type,
  2: optional string name,
  3: required i32 access,
}
struct SettableBlobMeta { 1: required list<AccessControl> acl, 2: optional i32 replication_factor }
struct ReadableBlobMeta { 1: required SettableBlobMeta settable, 2: required i64 version }

service Nimbus {
  NimbusSummary getLeader() throws (1: AuthorizationException denied)
  ClusterSummary getClusterInfo() throws (1: AuthorizationException denied)
  string getNimbusConf() throws (1: AuthorizationException denied)
  list<TopologySummary> getTopologySummaries() throws (1: AuthorizationException denied)
  TopologySummary getTopologySummary(1: string id)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  TopologySummary getTopologySummaryByName(1: string name)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  TopologyInfo getTopologyInfo(1: string id)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  TopologyInfo getTopologyInfoWithOpts(1: string id, 2: GetInfoOptions options)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  TopologyInfo getTopologyInfoByName(1: string name)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  TopologyInfo getTopologyInfoByNameWithOpts(1: string name, 2: GetInfoOptions options)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  string getTopologyConf(1: string id)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  StormTopology getTopology(1: string id)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  StormTopology getUserTopology(1: string id)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  bool isTopologyNameAllowed(1: string name) throws (1: AuthorizationException denied)
  string beginFileUpload() throws (1: AuthorizationException denied)
  void uploadChunk(1: string location, 2: binary chunk) throws (1: AuthorizationException denied)
  void finishFileUpload(1: string location) throws (1: AuthorizationException denied)
  void submitTopology(
    1: string name, 2: string uploadedJarLocation, 3: string jsonConf, 4: StormTopology topology
  )
    throws (1: AlreadyAliveException taken, 2: InvalidTopologyException invalid,
            3: AuthorizationException denied)
  void submitTopologyWithOpts(
    1: string name, 2: string uploadedJarLocation, 3: string jsonConf, 4: StormTopology topology,
    5: SubmitOptions options
  )
    throws (1: AlreadyAliveException taken, 2: InvalidTopologyException invalid,
            3: AuthorizationException denied)
  void activate(1: string name) throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void deactivate(1: string name)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void killTopology(1: string name)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void killTopologyWithOpts(1: string name, 2: KillOptions options)
    throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void rebalance(1: string name, 2: RebalanceOptions options)
    throws (1: NotAliveException gone, 2: InvalidTopologyException invalid,
            3: AuthorizationException denied)
  ListBlobsResult listBlobs(1: string session)
  ReadableBlobMeta getBlobMeta(1: string key)
    throws (1: AuthorizationException denied, 2: KeyNotFoundException missing)
}

// Methods that heronshim does not serve: only what a refusal needs, the rest is left out.
service Unserved {
  void beginBlobDownload()
    throws (1: AuthorizationException denied, 2: KeyNotFoundException missing)
  void beginCreateBlob()
    throws (1: AuthorizationException denied, 2: KeyAlreadyExistsException present)
  void beginUpdateBlob() throws (1: AuthorizationException denied, 2: KeyNotFoundException missing)
  void cancelBlobUpload() throws (1: AuthorizationException denied)
  void createStateInZookeeper()
  void debug() throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void deleteBlob()
    throws (1: AuthorizationException denied, 2: KeyNotFoundException missing,
            3: IllegalStateException wrong)
  void downloadBlobChunk() throws (1: AuthorizationException denied)
  void downloadChunk() throws (1: AuthorizationException denied)
  void finishBlobUpload() throws (1: AuthorizationException denied)
  void getBlobReplication()
    throws (1: AuthorizationException denied, 2: KeyNotFoundException missing)
  void getComponentPageInfo() throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void getComponentPendingProfileActions()
  void getLogConfig()
  void getOwnerResourceSummaries() throws (1: AuthorizationException denied)
  void getSupervisorAssignments() throws (1: AuthorizationException denied)
  void getSupervisorPageInfo() throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void getTopologyHistory() throws (1: AuthorizationException denied)
  void getTopologyPageInfo() throws (1: NotAliveException gone, 2: AuthorizationException denied)
  void isRemoteBlobExists() throws (1: AuthorizationException denied)
  void processWorkerMetrics()
  void sendSupervisorWorkerHeartbeat()
    throws (1: AuthorizationException denied, 2: NotAliveException gone)
  void sendSupervisorWorkerHeartbeats() throws (1: AuthorizationException denied)
  void setBlobMeta() throws (1: AuthorizationException denied, 2: KeyNotFoundException missing)
  void setLogConfig()
  void setWorkerProfiler()
  void updateBlobReplication()
    throws (1: AuthorizationException denied, 2: KeyNotFoundException missing)
  void uploadBlobChunk() throws (1: AuthorizationException denied)
  void uploadNewCredentials()
    throws (1: NotAliveException gone, 2: InvalidTopologyException invalid,
            3: AuthorizationException denied)
}
