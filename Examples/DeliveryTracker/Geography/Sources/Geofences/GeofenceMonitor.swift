package import FoundationEssentials

/// Turns the fixes of one subject, such as a driver, into events of the fences that it watches.
///
/// - A subject enters a fence at its border, and has left it when it is beyond the border by the hysteresis or by the
///   inaccuracy of the fix, so that a subject that stands at the border causes one event.
/// - A subject that passes a small fence between two fixes enters and exits it. What it does between two fixes inside is
///   not known.
/// - If the first fix is inside, the subject enters: a driver may be at the restaurant when the order comes.
/// - A fix that is not newer than the one before, or too inaccurate, has no effect.
package struct GeofenceMonitor<ID: Hashable & Sendable>: Sendable {
    private struct Watch {
        let id: ID
        let fence: Geofence
        var presence = FencePresence.unknown
    }

    private let configuration: GeofenceConfiguration
    private var watches: [Watch] = []
    private var last: Fix?

    package init(configuration: GeofenceConfiguration = GeofenceConfiguration()) {
        self.configuration = configuration
    }

    /// Starts to watch a fence, from the next fix on. It replaces a fence of the same ID.
    package mutating func watch(_ fence: Geofence, as id: ID) {
        stopWatching(id)
        watches.append(Watch(id: id, fence: fence))
    }

    /// Stops to watch a fence, without an event.
    package mutating func stopWatching(_ id: ID) {
        watches.removeAll { $0.id == id }
    }

    /// Whether the subject is in the fence, or `nil` if that is not known.
    package func isInside(_ id: ID) -> Bool? {
        watches.first { $0.id == id }?.presence.isInside
    }

    /// Takes notice of a fix.
    /// - Returns: The events in the order of their times; at the same time, the exit from a fence precedes the entry into
    ///   another one.
    package mutating func receive(_ fix: Fix) -> [GeofenceEvent<ID>] {
        if let accuracy = fix.accuracy, accuracy > configuration.maximumAccuracy { return [] }
        if let last, fix.time <= last.time { return [] }
        let leg = last.flatMap { Leg(from: $0, to: fix, maximumGap: configuration.maximumGap) }
        last = fix
        var exits: [GeofenceEvent<ID>] = []
        var others: [GeofenceEvent<ID>] = []
        for index in watches.indices {
            let changes = watches[index].presence.update(
                in: watches[index].fence, fix: fix, leg: leg, configuration: configuration)
            let events = changes.map { [id = watches[index].id] change in
                GeofenceEvent(kind: change.kind, fence: id, time: change.time, isInterpolated: change.time != fix.time)
            }
            if changes.first?.kind == .exit { exits += events } else { others += events }
        }
        // The order of events at the same time stays: sorting is stable.
        return (exits + others).sorted { $0.time < $1.time }
    }
}

/// When a subject counts as being in a fence, and as arriving at one.
package struct GeofenceConfiguration: Sendable {
    /// How far beyond the border a subject has left, in metres. An inaccurate fix must be further away.
    package var hysteresis = 20.0
    /// The worst accuracy of a fix that counts, in metres.
    package var maximumAccuracy = 100.0
    /// The time between two fixes in seconds, above which nothing is known of the way between them.
    package var maximumGap: TimeInterval = 300
    /// The distance from the border in metres at which a subject is arriving, or `nil` to not look at the distance.
    package var arrivingDistance: Double? = 300
    /// The time to the border in seconds, at the present speed of approach, at which a subject is arriving, or `nil` to
    /// not look at the time.
    package var arrivingTime: TimeInterval? = 120

    package init() {}
}
