package io.heronshim.stream;

/** Frame kinds; the payload's message beside each. */
public final class Kind {
  /** Hello. */
  public static final int HELLO = 1;

  /** HelloAck. */
  public static final int HELLO_ACK = 2;

  /** Error. */
  public static final int ERROR = 3;

  /** Bye. */
  public static final int BYE = 4;

  /** ByeAck. */
  public static final int BYE_ACK = 5;

  /** PhysicalPlan. */
  public static final int PLAN = 6;

  /** DataBatch. */
  public static final int DATA = 7;

  /** Outcomes. */
  public static final int OUTCOMES = 8;

  /** Credit. */
  public static final int CREDIT = 9;

  /** CreditRequest. */
  public static final int CREDIT_REQUEST = 10;

  /** LinkHeartbeat. */
  public static final int HEARTBEAT = 11;

  /** LossNotice. */
  public static final int LOSS_NOTICE = 12;

  /** LossNoticeAck. */
  public static final int LOSS_NOTICE_ACK = 13;

  /** MetricsReport. */
  public static final int METRICS = 14;

  /** LoadReport; reserved. */
  public static final int LOAD_REPORT = 15;

  /** Barrier; reserved. */
  public static final int BARRIER = 16;

  /** BackPressure. */
  public static final int BACK_PRESSURE = 17;

  private Kind() {}

  /** Whether frames of a kind take tuples, or what became of tuples, with them when lost. */
  public static boolean carriesTuples(int kind) {
    return kind == DATA || kind == OUTCOMES || kind == BARRIER;
  }
}
