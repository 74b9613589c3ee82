import FoundationEssentials

// The checks of a report that need no other fix.

extension Fix {
    /// Creates a fix from a report, if that is a position at all.
    /// - Parameter latest: What takes the place of a later time of the device, if anything.
    init(_ report: FixReport, receivedAt: Date, latest: Date?) throws(FixRejection) {
        let numbers = [
            report.latitude, report.longitude, report.at.timeIntervalSinceReferenceDate, report.accuracy, report.speed,
        ]
        guard numbers.allSatisfy({ $0?.isFinite ?? true }), report.accuracy.map({ $0 >= 0 }) ?? true else {
            throw .malformed
        }
        let place: Place
        do {
            place = try Place(latitude: report.latitude, longitude: report.longitude)
        } catch {
            throw .invalid
        }
        self.init(
            place: place, deviceTime: latest.map { min(report.at, $0) } ?? report.at, receivedAt: receivedAt,
            accuracy: report.accuracy, speed: report.speed, sequence: report.sequence)
    }
}

extension FixFilter.Configuration {
    func check(_ fix: Fix) throws(FixRejection) {
        if dropsZero, fix.place.latitude == 0, fix.place.longitude == 0 { throw .zero }
        if let maximumAccuracy, let accuracy = fix.accuracy, accuracy > maximumAccuracy { throw .accuracy }
        if let maximumLead, -fix.lag > maximumLead { throw .future }
        if let maximumHistoryAge, fix.lag > max(maximumHistoryAge, maximumAge ?? 0) { throw .stale }
    }
}

extension FixFilter.SpeedLimit {
    /// Whether a vehicle can have been at both places.
    func allows(_ a: Fix, _ b: Fix) -> Bool {
        let inaccuracy = tolerance + min(1000, a.accuracy ?? 0) + min(1000, b.accuracy ?? 0)
        return a.place.distance(to: b.place) <= inaccuracy + maximum * abs(b.time.timeIntervalSince(a.time))
    }
}
