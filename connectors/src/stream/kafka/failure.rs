//! What an error of Kafka means for who reads, and what to do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{Error, Retry};

/// What an error means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// librdkafka goes on by itself.
    Passing(String),
    /// It is about the consumer group alone.
    Group(String),
    /// A position that the topic does not hold.
    OutOfRange,
    /// It will not get better without somebody doing something.
    Lasting {
        action: &'static str,
        problem: String,
    },
    /// The same call may succeed later.
    Later {
        action: &'static str,
        problem: String,
    },
}

/// What an error means that came of doing this. No text of it is shown but that of its code, as others may hold what is
/// secret.
pub(crate) fn failure(topic: &str, action: &'static str, error: &KafkaError) -> Failure {
    let Some(code) = error.rdkafka_error_code() else {
        let problem = match error {
            KafkaError::Seek(problem) | KafkaError::Subscription(problem) => problem.clone(),
            _ => "Kafka's client failed".into(),
        };
        return Failure::Later { action, problem };
    };
    let lasting = |hint: &str| Failure::Lasting {
        action,
        problem: format!("{code}; {hint}"),
    };
    if let KafkaError::MessageConsumptionFatal(_) = error {
        return lasting("the client cannot go on, start again");
    }
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => Failure::OutOfRange,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => lasting(
            &format!("is {topic} its name, and are these the brokers that hold it?"),
        ),
        Code::InvalidTopic => lasting("it is no name that a topic can have"),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            lasting("allow this user to read and describe it")
        }
        Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => {
            lasting("see the client properties sasl.mechanism, sasl.username and sasl.password")
        }
        Code::SSL => lasting("see the client properties security.protocol and ssl.ca.location"),
        Code::GroupAuthorizationFailed => {
            Failure::Group(format!("{code}; allow this user to read the group"))
        }
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::PreviousInProgress
        | Code::NetworkException => Failure::Passing(code.to_string()),
        _ => Failure::Later {
            action,
            problem: code.to_string(),
        },
    }
}

impl Failure {
    /// The error of a call that this ended.
    pub(crate) fn into_error(self, topic: &str) -> Error {
        let kafka = |action, problem, retry| Error::Kafka {
            action,
            topic: topic.into(),
            problem,
            retry,
        };
        match self {
            Self::Passing(problem) => kafka("ask for", problem, Retry::Backoff),
            Self::Group(problem) => kafka("commit positions of", problem, Retry::Never),
            Self::OutOfRange => Error::RowsLost {
                topic: topic.into(),
                problem: "it no longer holds the offset to read on from".into(),
            },
            Self::Lasting { action, problem } => kafka(action, problem, Retry::Never),
            Self::Later { action, problem } => kafka(action, problem, Retry::Backoff),
        }
    }
}
