/// A part of the way between two fixes, in fractions: 0 is the first fix and 1 the second.
typealias Stretch = ClosedRange<Double>

extension Stretch {
    /// Returns the part of a way on which a distance is at most a limit.
    /// - Parameter distance: The distance at a fraction of the way, which falls to its least value and then rises.
    static func within(_ limit: Double, distance: (Double) -> Double) -> Stretch? {
        let (first, last) = (distance(0), distance(1))
        let nearest = first <= limit && last <= limit ? 0.5 : fractionOfMinimum(of: distance)
        guard Swift.min(first, last, distance(nearest)) <= limit else { return nil }
        let lower = first <= limit ? 0 : border(inside: last <= limit ? 1 : nearest, outside: 0)
        let upper = last <= limit ? 1 : border(inside: first <= limit ? 0 : nearest, outside: 1)
        return lower <= upper ? lower...upper : nil

        func border(inside: Double, outside: Double) -> Double {
            var (inside, outside) = (inside, outside)
            for _ in 0..<50 {
                let middle = (inside + outside) / 2
                if distance(middle) <= limit { inside = middle } else { outside = middle }
            }
            return inside
        }
    }

    /// Searches by thirds: each round leaves out the third that is further from the minimum.
    private static func fractionOfMinimum(of distance: (Double) -> Double) -> Double {
        var (lower, upper) = (0.0, 1.0)
        for _ in 0..<80 {
            let third = (upper - lower) / 3
            if distance(lower + third) <= distance(upper - third) { upper -= third } else { lower += third }
        }
        return (lower + upper) / 2
    }

    /// Returns the stretches in order, those that overlap or touch as one.
    static func union(_ stretches: [Stretch]) -> [Stretch] {
        var result: [Stretch] = []
        for stretch in stretches.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            // Rounding must not leave a gap where two areas share a border.
            if let last = result.last, stretch.lowerBound <= last.upperBound + 1e-9 {
                result[result.count - 1] = last.lowerBound...Swift.max(last.upperBound, stretch.upperBound)
            } else {
                result.append(stretch)
            }
        }
        return result
    }
}
